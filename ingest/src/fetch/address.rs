//! Which addresses may be connected to. A table of URLs is written by strangers: one of them may point, or redirect,
//! or resolve to the machine's own services, its network's or its cloud's credentials. The resolver and the check of
//! URLs with literal addresses both ask here, on every hop.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Azure's platform service: a public-looking address that answers with a machine's own secrets.
const AZURE_WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Decides for one address.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressGuard {
    pub allow_private: bool,
    pub allowed_networks: Vec<Network>,
}

impl AddressGuard {
    pub fn permits(&self, address: IpAddr) -> bool {
        self.allow_private || is_public(address) || self.allowed_networks.iter().any(|n| n.contains(address))
    }
}

/// Whether `address` is an ordinary host of the Internet: none of the blocks of IANA's IPv4 and IPv6 special-purpose
/// registries (loopback, private, link-local with the clouds' metadata services, carrier NAT, documentation,
/// benchmarking, multicast, reserved, …) nor an IPv6 form that leads to one of those IPv4 blocks.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        [0 | 10 | 127, ..] => true,
        [100, b, ..] => b & 0xc0 == 64, // carrier-grade NAT, 100.64.0.0/10 (RFC 6598)
        [169, 254, ..] => true,         // link-local, 169.254.169.254 among them
        [172, b, ..] => b & 0xf0 == 16, // private
        [192, 168, ..] | [192, 0, 0, _] => true, // private; IETF protocol assignments
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => true, // documentation
        [192, 88, 99, _] => true,       // 6to4 relays, withdrawn
        [198, b, ..] => b & 0xfe == 18, // benchmarking
        [a, ..] => a >= 224,            // multicast, reserved, broadcast
    };
    !special && address != AZURE_WIRE_SERVER
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(v4) = embedded_v4(address) {
        return is_public_v4(v4);
    }
    match address.segments() {
        // Assigned by IANA for protocols: Teredo, benchmarking, ORCHID.
        [0x2001, b, ..] if b < 0x0200 => false,
        [0x2001, 0x0db8, ..] | [0x3fff, 0x0000..=0x0fff, ..] => false, // documentation
        // Global unicast is 2000::/3; loopback, unspecified, unique local (fd00:ec2::254 among them), link-local,
        // site-local, multicast, discard and local NAT64 lie outside.
        [a, ..] => a & 0xe000 == 0x2000,
    }
}

/// The IPv4 address behind an IPv6 one that a gateway or this machine would translate.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let from = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] => from(high, low), // IPv4-mapped
        [0, 0, 0, 0, 0xffff, 0, high, low] => from(high, low), // IPv4-translated (RFC 2765)
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => from(high, low), // IPv4-compatible, withdrawn
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => from(high, low), // NAT64
        [0x2002, high, low, ..] => from(high, low),            // 6to4
        [_, _, _, _, 0 | 0x0200, 0x5efe, high, low] => from(high, low), // ISATAP
        _ => None,
    }
}

/// A block of addresses: `address/prefix`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                ours.to_bits() & mask == theirs.to_bits() & mask
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                ours.to_bits() & mask == theirs.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.trim().parse().map_err(|_| ())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), |p| p.trim().parse().map_err(|_| ()))?;
        if prefix > longest { Err(()) } else { Ok(Self { address, prefix }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::127.0.0.1",
            "::10.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2002:c0a8:101::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd12::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
            "2a00:1450::5efe:a00:1",
            "2a00:1450::200:5efe:7f00:1",
        ] {
            let address: IpAddr = text.parse().unwrap();
            assert!(!is_public(address), "{text} must be refused");
            assert!(!AddressGuard::default().permits(address), "{text} must be refused");
            assert!(AddressGuard { allow_private: true, ..Default::default() }.permits(address));
        }
    }

    #[test]
    fn ordinary_addresses_are_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "128.0.0.1",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2002:808:808::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450:4001:81b::200e",
            "3ffe::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text} must be permitted");
        }
    }

    #[test]
    fn allowed_networks_open_just_themselves() {
        let guard = |networks: &[&str]| AddressGuard {
            allow_private: false,
            allowed_networks: networks.iter().map(|n| n.parse().unwrap()).collect(),
        };
        let permits = |networks: &[&str], address: &str| guard(networks).permits(address.parse().unwrap());
        assert!(permits(&["10.1.0.0/16"], "10.1.255.3"));
        assert!(permits(&["10.1.0.0/16"], "::ffff:10.1.255.3"));
        assert!(!permits(&["10.1.0.0/16"], "10.2.0.1"));
        assert!(permits(&["127.0.0.1"], "127.0.0.1"));
        assert!(!permits(&["127.0.0.1"], "127.0.0.2"));
        assert!(permits(&["fd12::/32"], "fd12:0:9::1") && !permits(&["fd12::/32"], "fd13::1"));
        assert!(permits(&["0.0.0.0/0"], "127.0.0.1") && !permits(&["0.0.0.0/0"], "::1"));
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "host", "10.0.0.0/-1", "10.0.0.0/"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
