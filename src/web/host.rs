//! For which names the page answers.
//!
//! A page elsewhere can have a name of its own lead to this machine, and then reads what it finds here as
//! if it were its own (DNS rebinding). What the browser then sends as `Host` is that name, so that only
//! those are answered that this server is known by.

use std::net::{IpAddr, SocketAddr};

use http::header::HOST;
use http::uri::Authority;

/// Names besides loopback and the address itself.
#[derive(Debug)]
pub(super) struct Hosts(Vec<String>);

impl Hosts {
    pub(super) fn new(names: &[String]) -> Self {
        Self(names.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether a request with these headers, which came to `bound`, is meant for this server.
    pub(super) fn know(&self, headers: &http::HeaderMap, bound: SocketAddr) -> bool {
        let mut given = headers.get_all(HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else { return false };
        let Some(authority) = host.to_str().ok().and_then(|it| it.parse::<Authority>().ok()) else {
            return false;
        };
        let name = authority.host().to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) => address.is_loopback() || address == bound.ip() || self.0.contains(&name),
            Err(_) => name == "localhost" || self.0.contains(&name),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_its_own_names_are_known() {
        let hosts = Hosts::new(&["Waag.Douane.example".into()]);
        let bound: SocketAddr = "192.0.2.7:8080".parse().unwrap();
        let knows = |given: &[&str]| {
            let mut headers = http::HeaderMap::new();
            for host in given {
                headers.append(HOST, host.parse().unwrap());
            }
            hosts.know(&headers, bound)
        };
        for host in [
            "localhost:8080",
            "LOCALHOST",
            "127.0.0.1:1",
            "[::1]:8080",
            "192.0.2.7",
            "waag.douane.example:443",
        ] {
            assert!(knows(&[host]), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "192.0.2.8:8080",
            "douane.example",
            "",
            "127.0.0.1.evil.example",
        ] {
            assert!(!knows(&[host]), "{host}");
        }
        assert!(!knows(&[]));
        assert!(!knows(&["localhost", "evil.example"]));
    }
}
