//! The live packet filter, in the words of its tools.

use super::Context;
use super::files::excerpt;
use super::outcome::Outcome;
use crate::finding::Reason;
use crate::rule::FirewallCheck;
use sealpod_evidence::node::statement::{Firewall, Ufw};

/// One look: what it is about, what was found, what is required, whether it holds.
type Look = (&'static str, String, &'static str, bool);

impl Context<'_> {
    pub(super) fn firewall(&self, check: FirewallCheck) -> Result<Outcome, Reason> {
        use FirewallCheck as C;
        let node = self.node()?;
        let firewall = node.fact("the packet filter", |s| s.firewall.as_ref())?;
        let (subject, found, required, holds) = match check {
            C::UfwLoopback | C::UfwOutgoing | C::UfwOpenPorts | C::UfwDefaultDeny => {
                let ufw = firewall.ufw.as_ref().ok_or_else(|| missing("ufw"))?;
                self.ufw(check, ufw)?
            }
            C::IptablesEmpty => iptables_empty(firewall)?,
            C::NftTable | C::NftBaseChains | C::NftLoopback | C::NftEstablished | C::NftDefaultDeny => {
                nft(check, firewall.nft.as_ref().ok_or_else(|| missing("nftables"))?)
            }
            C::Ipv4DefaultDeny | C::Ipv4Loopback | C::Ipv4Established | C::Ipv4OpenPorts => {
                self.iptables(check, "iptables", firewall.ipv4.as_ref())?
            }
            C::Ipv6DefaultDeny | C::Ipv6Loopback | C::Ipv6Established | C::Ipv6OpenPorts => {
                self.iptables(check, "ip6tables", firewall.ipv6.as_ref())?
            }
        };
        Ok(Outcome::one(holds, node.stated_proof(subject, excerpt(&found), required)))
    }

    fn ufw(&self, check: FirewallCheck, ufw: &Ufw) -> Result<Look, Reason> {
        let closed = |policy: &str| matches!(policy, "deny" | "reject");
        let has = |rule: &str| ufw.rules.iter().any(|held| held == rule);
        let state = if ufw.active { "active" } else { "inactive" };
        Ok(match check {
            FirewallCheck::UfwLoopback => {
                let wanted =
                    ["allow in on lo", "allow out on lo", "deny in from 127.0.0.0/8", "deny in from ::1"];
                let lacking: Vec<&str> = wanted.into_iter().filter(|rule| !has(rule)).collect();
                let found = if lacking.is_empty() {
                    state.to_owned()
                } else {
                    format!("{state}, without {}", lacking.join("; "))
                };
                (
                    "ufw loopback rules",
                    found,
                    "loopback allowed, its addresses denied elsewhere",
                    ufw.active && lacking.is_empty(),
                )
            }
            FirewallCheck::UfwOutgoing => {
                let ruled =
                    closed(&ufw.outgoing) || ufw.rules.iter().any(|rule| rule.starts_with("allow out on "));
                let found = format!("{state}, outgoing {}", ufw.outgoing);
                ("ufw outgoing traffic", found, "a rule, or denied by default", ufw.active && ruled)
            }
            FirewallCheck::UfwOpenPorts => {
                let open = self.without_rule(|port| {
                    ufw.rules.iter().any(|rule| rule.split([' ', '/', ',']).any(|word| word == port))
                })?;
                (
                    "ufw rules of open ports",
                    shown(&open),
                    "a rule for each open port",
                    ufw.active && open.is_empty(),
                )
            }
            _ => {
                let routed = closed(&ufw.routed) || ufw.routed == "disabled";
                let found = format!(
                    "{state}, incoming {}, outgoing {}, routed {}",
                    ufw.incoming, ufw.outgoing, ufw.routed
                );
                let holds = ufw.active && closed(&ufw.incoming) && closed(&ufw.outgoing) && routed;
                ("ufw defaults", found, "active, all denied or rejected", holds)
            }
        })
    }

    fn iptables(
        &self,
        check: FirewallCheck,
        tool: &'static str,
        rules: Option<&Vec<String>>,
    ) -> Result<Look, Reason> {
        use FirewallCheck as C;
        let rules = rules.ok_or_else(|| missing(tool))?;
        let any = |parts: &[&str]| rules.iter().any(|rule| parts.iter().all(|part| rule.contains(part)));
        let source = if tool == "iptables" { "127.0.0.0/8" } else { "::1" };
        Ok(match check {
            C::Ipv4DefaultDeny | C::Ipv6DefaultDeny => {
                let policy = |chain: &str| {
                    let policies = [format!("-P {chain} DROP"), format!("-P {chain} REJECT")];
                    rules.iter().any(|rule| policies.contains(rule))
                };
                let open: Vec<&str> =
                    ["INPUT", "FORWARD", "OUTPUT"].into_iter().filter(|chain| !policy(chain)).collect();
                let found = if open.is_empty() {
                    "all drop".to_owned()
                } else {
                    format!("{} accept", open.join(", "))
                };
                (tool, found, "INPUT, FORWARD and OUTPUT drop by default", open.is_empty())
            }
            C::Ipv4Loopback | C::Ipv6Loopback => {
                let source_rule = format!("-s {source}");
                let holds = any(&["-A INPUT", "-i lo", "-j ACCEPT"])
                    && any(&["-A OUTPUT", "-o lo", "-j ACCEPT"])
                    && any(&["-A INPUT", &source_rule, "-j DROP"]);
                let found = if holds { "as required" } else { "a rule is missing" };
                (tool, found.to_owned(), "loopback accepted, its addresses dropped elsewhere", holds)
            }
            C::Ipv4Established | C::Ipv6Established => {
                let holds = any(&["-A INPUT", "ESTABLISHED", "-j ACCEPT"])
                    && any(&["-A OUTPUT", "ESTABLISHED", "-j ACCEPT"]);
                let found = if holds { "as required" } else { "a rule is missing" };
                (tool, found.to_owned(), "established connections accepted in and out", holds)
            }
            _ => {
                let open = self.without_rule(|port| {
                    rules.iter().any(|rule| {
                        rule.starts_with("-A INPUT") && rule.contains(&format!("--dport {port} "))
                    })
                })?;
                (tool, shown(&open), "a rule for each open port", open.is_empty())
            }
        })
    }

    /// Ports that are open beyond loopback and that no rule is about.
    fn without_rule(&self, has_rule: impl Fn(&str) -> bool) -> Result<Vec<u16>, Reason> {
        let listening = self.node()?.fact("listening sockets", |s| s.listening.as_ref())?;
        let mut ports: Vec<u16> = listening
            .iter()
            .filter(|socket| !socket.address.is_loopback())
            .map(|socket| socket.port)
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports.retain(|port| !has_rule(&port.to_string()));
        Ok(ports)
    }
}

fn missing(what: &str) -> Reason {
    Reason::NotStated { what: format!("{what}'s rules") }
}

fn shown(ports: &[u16]) -> String {
    match ports {
        [] => "none without a rule".to_owned(),
        ports => format!("no rule for {}", ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ")),
    }
}

fn iptables_empty(firewall: &Firewall) -> Result<Look, Reason> {
    let rules = [&firewall.ipv4, &firewall.ipv6];
    let rules: Option<Vec<&Vec<String>>> = rules.into_iter().map(Option::as_ref).collect();
    let rules = rules.ok_or_else(|| missing("iptables"))?;
    let first = rules.into_iter().flatten().find(|rule| rule.starts_with("-A"));
    let found = first.map_or("none", String::as_str).to_owned();
    Ok(("iptables and ip6tables", found, "no rules beside nftables", first.is_none()))
}

fn nft(check: FirewallCheck, rules: &[String]) -> Look {
    let any = |parts: &[&str]| rules.iter().any(|rule| parts.iter().all(|part| rule.contains(part)));
    let chain = |hook: &str, policy: &str| {
        let hook = format!("hook {hook} ");
        any(&["type filter", &hook, policy])
    };
    let hooks = ["input", "forward", "output"];
    let (required, holds) = match check {
        FirewallCheck::NftTable => ("a table", any(&["table "])),
        FirewallCheck::NftBaseChains => {
            ("chains with hooks input, forward and output", hooks.iter().all(|hook| chain(hook, "")))
        }
        FirewallCheck::NftLoopback => (
            "loopback accepted, its addresses dropped elsewhere",
            any(&["iif", "lo", "accept"])
                && any(&["ip saddr 127.0.0.0/8", "drop"])
                && any(&["ip6 saddr ::1", "drop"]),
        ),
        FirewallCheck::NftEstablished => {
            ("established connections accepted", any(&["established", "accept"]))
        }
        _ => {
            ("policy drop in input, forward and output", hooks.iter().all(|hook| chain(hook, "policy drop")))
        }
    };
    let found =
        if holds { format!("as required, in {} lines", rules.len()) } else { "a rule is missing".to_owned() };
    ("nftables", found, required, holds)
}
