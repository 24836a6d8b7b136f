//! The files of the page, which are in the program, and the headers that keep it to itself.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// An answer.
pub(super) type Answer = Response<Full<Bytes>>;

/// Everything comes from this server; nothing in the page itself is a script or a style; it sends no form
/// anywhere, and stands in no other page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; \
                                       form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! file {
    ($path:literal, $type:expr) => {
        ($path, $type, include_str!(concat!("page/", $path)))
    };
}

static FILES: &[(&str, &str, &str)] = &[
    file!("index.html", HTML),
    file!("page.css", CSS),
    file!("page.js", JS),
    file!("actor.js", JS),
    file!("actors.js", JS),
    file!("agreements.js", JS),
    file!("charts.js", JS),
    file!("conditions.js", JS),
    file!("findings.js", JS),
    file!("glide.js", JS),
    file!("parts.js", JS),
    file!("profiles.js", JS),
    file!("samples.js", JS),
    file!("server.js", JS),
    file!("signals.js", JS),
    file!("system.js", JS),
    file!("words.js", JS),
    file!("scales.svg", SVG),
];

/// The file at `path`, which begins with a slash.
pub(super) fn file(path: &str) -> Option<Answer> {
    let name = match path.strip_prefix('/')? {
        "" => "index.html",
        name => name,
    };
    let (_, content_type, text) = FILES.iter().find(|(of, ..)| *of == name)?;
    Some(answer(StatusCode::OK, content_type, Bytes::from_static(text.as_bytes())))
}

/// An answer with the headers that all have.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version of the program has another page; and figures are for whoever asked.
        (header::CACHE_CONTROL, "no-store"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// An answer of a sentence.
pub(super) fn plain(status: StatusCode, text: &'static str) -> Answer {
    answer(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn what_a_file_names_is_there_and_nothing_is_written_into_the_page() {
        for (name, content_type, text) in FILES {
            assert!(
                !text.contains("http://") || *content_type == SVG || name.ends_with(".js"),
                "{name}"
            );
            assert!(!text.contains("https://"), "{name} takes something from elsewhere");
            if *content_type != HTML && *content_type != JS {
                continue;
            }
            for part in
                text.split(['"', '\'']).filter(|it| it.starts_with("./") || it.starts_with("/p"))
            {
                let path = part.trim_start_matches('.');
                assert!(file(path).is_some(), "{name} names {part}");
            }
            assert!(!text.contains(" style=") && !text.contains("<style"), "{name}");
            assert!(!text.contains(" onclick=") && !text.contains("innerHTML"), "{name}");
        }
        assert!(file("/").is_some() && file("/none.js").is_none() && file("page.js").is_none());
    }
}
