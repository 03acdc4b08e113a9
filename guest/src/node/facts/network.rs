//! Listening sockets, interfaces and the live packet filter.

use super::lines_of;
use crate::files;
use sealpod_evidence::node::statement::{Firewall, Interface, Listener, Protocol, Ufw};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

const MAX_TABLE: usize = 16 << 20;
/// `TCP_LISTEN` of Linux' `tcp_states.h`.
const LISTEN: &str = "0A";
/// `TCP_CLOSE`, in which an unconnected UDP socket is shown.
const UNCONNECTED: &str = "07";

/// Sockets that take what comes; `None` where a table cannot be read.
pub fn listening() -> Option<Vec<Listener>> {
    use Protocol::{Tcp, Udp};
    let mut found = Vec::new();
    for (table, protocol, state) in
        [("tcp", Tcp, LISTEN), ("tcp6", Tcp, LISTEN), ("udp", Udp, UNCONNECTED), ("udp6", Udp, UNCONNECTED)]
    {
        let path = Path::new("/proc/net").join(table);
        // A kernel without IPv6 has no table for it.
        if table.ends_with('6') && !path.exists() {
            continue;
        }
        let bytes = files::read(&path, MAX_TABLE).ok()?;
        found.extend(sockets(&String::from_utf8_lossy(&bytes), protocol, state));
    }
    found.sort_by_key(|listener: &Listener| (listener.protocol, listener.port, listener.address));
    found.dedup();
    Some(found)
}

/// `sl local_address rem_address st ...` (proc_net_tcp(5)), addresses in hex.
fn sockets<'t>(table: &'t str, protocol: Protocol, state: &'t str) -> impl Iterator<Item = Listener> + 't {
    table.lines().skip(1).filter_map(move |line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (local, _, found) = (words.next()?, words.next()?, words.next()?);
        let (address, port) = local.split_once(':')?;
        (found == state).then_some(())?;
        Some(Listener { protocol, address: address_of(address)?, port: u16::from_str_radix(port, 16).ok()? })
    })
}

/// The kernel prints the words of an address in the machine's own byte order.
fn address_of(text: &str) -> Option<IpAddr> {
    let mut bytes = hex::decode(text).ok()?;
    for word in bytes.chunks_mut(4) {
        if cfg!(target_endian = "little") {
            word.reverse();
        }
    }
    match bytes.len() {
        4 => Some(IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?))),
        16 => Some(IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?))),
        _ => None,
    }
}

/// Network interfaces but the loopback one.
pub fn interfaces() -> Option<Vec<Interface>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/sys/class/net").ok()?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name == "lo" {
            continue;
        }
        let path = entry.path();
        let up = files::read_text(&path.join("operstate")).is_ok_and(|state| state == "up");
        found.push(Interface {
            name,
            wireless: path.join("wireless").exists() || path.join("phy80211").exists(),
            up,
        });
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Some(found)
}

/// The packet filter, from each tool that is installed.
pub fn firewall() -> Firewall {
    Firewall {
        ufw: lines_of("ufw", &["status", "verbose"]).map(|status| {
            let rules = lines_of("ufw", &["show", "added"]).unwrap_or_default();
            ufw(&status, &rules)
        }),
        nft: lines_of("nft", &["list", "ruleset"]).map(without_empty),
        ipv4: lines_of("iptables", &["-S"]).map(without_empty),
        ipv6: lines_of("ip6tables", &["-S"]).map(without_empty),
    }
}

fn without_empty(mut lines: Vec<String>) -> Vec<String> {
    lines.retain(|line| !line.is_empty());
    lines
}

/// `Status: active` and `Default: deny (incoming), allow (outgoing), disabled (routed)`.
fn ufw(status: &[String], added: &[String]) -> Ufw {
    let defaults = status.iter().find_map(|line| line.strip_prefix("Default: ")).unwrap_or_default();
    let default = |direction: &str| {
        let suffix = format!(" ({direction})");
        defaults.split(", ").find_map(|part| part.strip_suffix(&suffix)).unwrap_or_default().to_owned()
    };
    Ufw {
        active: status.iter().any(|line| line == "Status: active"),
        incoming: default("incoming"),
        outgoing: default("outgoing"),
        routed: default("routed"),
        rules: added.iter().filter_map(|line| line.strip_prefix("ufw ")).map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_socket_of_this_machine_is_found() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let expected = Listener { protocol: Protocol::Tcp, address: "127.0.0.1".parse().unwrap(), port };
        assert!(listening().unwrap().contains(&expected));
    }

    #[test]
    fn addresses_are_in_the_order_of_the_machine() {
        assert_eq!(address_of("0100007F"), Some("127.0.0.1".parse().unwrap()));
        assert_eq!(address_of("00000000000000000000000001000000"), Some("::1".parse().unwrap()));
        assert_eq!(address_of("0100"), None);
        assert_eq!(address_of("zz"), None);
    }

    #[test]
    fn ufw_is_taken_apart() {
        let lines = |text: &str| text.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
        let status = "Status: active\nLogging: on (low)\nDefault: deny (incoming), allow (outgoing), disabled (routed)";
        let added =
            "Added user rules (see 'ufw status' for running firewall):\nufw allow in on lo\nufw limit 22/tcp";
        let found = ufw(&lines(status), &lines(added));
        assert!(found.active);
        assert_eq!((found.incoming.as_str(), found.outgoing.as_str()), ("deny", "allow"));
        assert_eq!(found.routed, "disabled");
        assert_eq!(found.rules, ["allow in on lo", "limit 22/tcp"]);
        assert!(!ufw(&lines("Status: inactive"), &[]).active);
    }
}
