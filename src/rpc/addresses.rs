//! How many connections each address has: one alone cannot take all places.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections by address, those of IPv6 by the 64 bits that a network has: whoever has one address there
/// has all of them.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    counts: Arc<Mutex<HashMap<IpAddr, u32>>>,
    most: u32,
}

/// One of an address's connections, until this is dropped.
#[derive(Debug)]
pub(crate) struct AtAddress {
    addresses: Addresses,
    network: IpAddr,
}

impl Addresses {
    pub(crate) fn new(most: u32) -> Self {
        Self { counts: Arc::default(), most }
    }

    /// One more of `address`; `None` where it has as many as it may.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<AtAddress> {
        let network = network(address);
        let mut counts = self.counts();
        let count = counts.entry(network).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(AtAddress { addresses: self.clone(), network })
    }

    /// A panic elsewhere leaves the counts as they were.
    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtAddress {
    fn drop(&mut self) {
        let mut counts = self.addresses.counts();
        if let Some(count) = counts.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_network_has_so_many_and_one_that_is_left_is_free_again() {
        let addresses = Addresses::new(2);
        let at = |text: &str| addresses.enter(text.parse().unwrap());
        let first = at("192.0.2.1").unwrap();
        // The same, as a listener of IPv6 sees it.
        let second = at("::ffff:192.0.2.1").unwrap();
        assert!(at("192.0.2.1").is_none());
        let other = at("192.0.2.2").unwrap();
        drop(first);
        let again = at("192.0.2.1").unwrap();
        assert!(at("192.0.2.1").is_none());
        let of_one_network = [at("2001:db8::1").unwrap(), at("2001:db8::2").unwrap()];
        assert!(at("2001:db8::3").is_none());
        let of_another = at("2001:db8:0:1::1").unwrap();
        drop((second, again, other, of_one_network, of_another));
        assert!(addresses.counts().is_empty(), "nothing is kept of those who left");
    }
}
