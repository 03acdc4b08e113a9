//! systemd units, in systemd's words.

use super::lines_of;
use sealpod_evidence::node::statement::Service;
use std::collections::{BTreeMap, BTreeSet};

/// Units asked for at once: a command line holds thousands.
const BATCH: usize = 64;

/// The state of each unit; a unit that systemd does not tell of is left out.
pub fn state(names: &BTreeSet<String>) -> BTreeMap<String, Service> {
    // A name with a leading dash would be an option; systemd has no such units.
    let sound: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.starts_with('-')).collect();
    let mut states = BTreeMap::new();
    for batch in sound.chunks(BATCH) {
        let mut arguments = vec!["show", "--property=Id,UnitFileState,ActiveState,LoadState", "--"];
        arguments.extend(batch);
        if let Some(lines) = lines_of("systemctl", &arguments) {
            let told = parse(&lines);
            states.extend(batch.iter().zip(told).map(|(name, service)| ((*name).to_owned(), service)));
        }
    }
    states
}

/// One paragraph for each unit, in the order asked for: properties, one a line, in any order.
fn parse(lines: &[String]) -> Vec<Service> {
    let paragraphs = lines.split(String::is_empty).filter(|paragraph| !paragraph.is_empty());
    let services = paragraphs.map(|paragraph| {
        let property = |name: &str| {
            let value = paragraph.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().to_owned()
        };
        let enabled = match (property("UnitFileState"), property("LoadState").as_str()) {
            (_, "not-found") => "not-found".to_owned(),
            (_, "masked") => "masked".to_owned(),
            (state, _) => state,
        };
        Service { enabled, active: property("ActiveState") }
    });
    services.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_is_taken_apart() {
        let text = "Id=ssh.service\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n\n\
            Id=avahi.service\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n\n\
            Id=cups.service\nLoadState=masked\nActiveState=inactive\nUnitFileState=masked";
        let lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
        let service =
            |enabled: &str, active: &str| Service { enabled: enabled.into(), active: active.into() };
        let expected =
            [service("enabled", "active"), service("not-found", "inactive"), service("masked", "inactive")];
        assert_eq!(parse(&lines), expected);
    }
}
