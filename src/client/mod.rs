//! The declarant's side: lodging from another program, or from `waag send`.
//!
//! A [`Server`] says where the service is and who the caller is; a [`Batch`] is a request that is encoded
//! while declarations are put into it; a [`Lodging`] sends batches over one stream, many under way at
//! once, and gives their answers in the order in which they were sent.
//!
//! What goes wrong on the way stays inside: a connection that is lost is made again, what has no answer is
//! sent again, and a service that says when to come back is asked then. Sending again is always safe: each
//! declaration gets the answer that it first got. What a caller sees of it is an answer with
//! `OUTCOME_REPLAYED`, which names the first outcome in `replay_of`.
//!
//! ```no_run
//! use waag::client::{Batch, ClientError, Credentials, Lodger, Lodging, LodgingOptions, Reply, Server};
//! use waag::proto::v1::Declaration;
//!
//! async fn lodge(declarations: &[Declaration]) -> Result<(), ClientError> {
//!     let server = Server::new("http://127.0.0.1:50051", &Credentials::default())?;
//!     let mut lodging = Lodging::open(&server, LodgingOptions::default()).await?;
//!     let mut batches = declarations.chunks(1_000).enumerate();
//!     loop {
//!         while lodging.has_room() {
//!             let Some((number, some)) = batches.next() else { break };
//!             let mut batch = Batch::new(format!("orders-{number}"), Lodger::declarant("NL810000003"));
//!             some.iter().for_each(|declaration| batch.push(declaration));
//!             lodging.send(batch);
//!         }
//!         let Some(answered) = lodging.answer().await? else { return Ok(()) };
//!         match answered.reply {
//!             Reply::Verdicts(answer) => {
//!                 for (lrn, verdict) in answered.batch.lrns().zip(&answer.verdicts) {
//!                     println!("{lrn}: {}", verdict.mrn);
//!                 }
//!             }
//!             Reply::Refused(refusal) => println!("{}: {}", refusal.batch_id, refusal.message),
//!         }
//!     }
//! }
//! ```
//!
//! Over TLS, with a token:
//!
//! ```no_run
//! use waag::client::{Credentials, Server};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let credentials = Credentials {
//!     authority_pem: Some(std::fs::read("authority.pem")?),
//!     token: Some(std::fs::read_to_string("token")?),
//!     ..Credentials::default()
//! };
//! let server = Server::new("https://customs.example:50051", &credentials)?;
//! # let _ = server;
//! # Ok(())
//! # }
//! ```
//!
//! # Bounds
//! | what | at most |
//! |---|---|
//! | batches that are sent and not taken back with their answer | [`LodgingOptions::batches_in_flight_max`] |
//! | bytes of an answer | 16 MiB; the service stays below 4 MiB |
//! | time without any answer, before giving up | [`LodgingOptions::silence_max`] |
//! | time between two attempts | 5 s, or what the service says |

mod batch;
pub(crate) mod codec;
mod connect;
mod error;
mod lodging;
mod window;

pub use batch::{Batch, Lodger};
pub use connect::{Bearer, ConnectError, Connection, Credentials, Server};
pub use error::ClientError;
pub use lodging::{Lodging, LodgingOptions};
pub use window::{Answered, Reply};
