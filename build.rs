//! Compiles `proto/` with protox, so that a fresh machine needs no protoc.
//!
//! Two passes over the same descriptors: one makes messages, protobuf JSON and the clients; the
//! other only the servers, over our own codec, with the batch messages left as the bytes they
//! arrived in (`wire::RequestBytes`), so that the hot path never builds a message tree.

use std::path::PathBuf;

type BoxError = Box<dyn std::error::Error>;

const FILES: [&str; 4] = [
    "waag/v1/compliance.proto",
    "waag/v1/declaration.proto",
    "waag/v1/lodgement.proto",
    "waag/v1/operation.proto",
];
/// Spoken by the spool, which also speaks what it imports.
const SPOOL: &str = "waag/v1/spool.proto";

fn main() -> Result<(), BoxError> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // Each of the two servers reflects what it serves.
    for (name, files) in [("descriptors.bin", &FILES[..]), ("spool-descriptors.bin", &[SPOOL])] {
        let descriptors = protox::compile(files, ["proto"])?;
        std::fs::write(out.join(name), prost::Message::encode_to_vec(&descriptors))?;
    }
    let descriptors = protox::compile(FILES.into_iter().chain([SPOOL]), ["proto"])?;
    let encoded = prost::Message::encode_to_vec(&descriptors);

    tonic_prost_build::configure().build_server(false).compile_fds(descriptors.clone())?;
    pbjson_build::Builder::new()
        .register_descriptors(&encoded)?
        .out_dir(&out)
        .build(&[".waag.v1"])?;

    let servers = out.join("servers");
    std::fs::create_dir_all(&servers)?;
    tonic_prost_build::configure()
        .build_client(false)
        .codec_path("crate::rpc::codec::Codec")
        .extern_path(".waag.v1", "crate::proto::v1")
        .extern_path(".waag.v1.SubmitBatchRequest", "crate::rpc::codec::RequestBytes")
        .extern_path(".waag.v1.SubmitBatchResponse", "crate::rpc::codec::AnswerBytes")
        .extern_path(".waag.v1.SubmitBatchesResponse", "crate::rpc::codec::AnswerBytes")
        .out_dir(&servers)
        .compile_fds(descriptors)?;
    Ok(())
}
