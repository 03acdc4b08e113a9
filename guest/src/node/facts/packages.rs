//! Installed packages, from dpkg's status file (deb-status): reading it needs no program to be run.

use crate::files;
use std::collections::BTreeMap;
use std::path::Path;

const STATUS: &str = "/var/lib/dpkg/status";
/// A desktop with 5,000 packages has 10 MiB.
const MAX_LEN: usize = 64 << 20;

/// Names and versions; `None` where this is no Debian.
pub fn installed() -> Option<BTreeMap<String, String>> {
    let bytes = files::read(Path::new(STATUS), MAX_LEN).ok()?;
    Some(parse(&String::from_utf8_lossy(&bytes)))
}

fn parse(status: &str) -> BTreeMap<String, String> {
    let mut packages = BTreeMap::new();
    for paragraph in status.split("\n\n") {
        let field = |name: &str| {
            let values = paragraph.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            values.map(str::trim).next()
        };
        // `want flag status`: a package that is only configured or half removed is not installed.
        let installed = field("Status").is_some_and(|status| status.ends_with(" installed"));
        if let (true, Some(name), Some(version)) = (installed, field("Package"), field("Version")) {
            packages.insert(name.to_owned(), version.to_owned());
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_installed_counts() {
        let status = "Package: a\nStatus: install ok installed\nVersion: 1:2-3\nDescription: x\n Package: not\n\n\
            Package: b\nStatus: deinstall ok config-files\nVersion: 1\n\n\
            Package: c\nStatus: hold ok installed\nVersion: 4\n";
        let expected = [("a", "1:2-3"), ("c", "4")];
        assert_eq!(parse(status), expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
    }
}
