//! Kernel parameters: live, and as the next boot would set them (sysctl.d(5)).

use super::files::Source;
use super::outcome::Outcome;
use super::{Context, text};
use crate::expect::Expect;
use crate::finding::Reason;
use crate::rule::Target;
use std::collections::BTreeMap;

/// Directories, the one that hides files of the same name in later ones first.
pub(crate) const DIRECTORIES: [&str; 4] = [
    "/etc/sysctl.d/*.conf",
    "/run/sysctl.d/*.conf",
    "/usr/local/lib/sysctl.d/*.conf",
    "/usr/lib/sysctl.d/*.conf",
];
/// Read last: Debian links it as `99-sysctl.conf`.
pub(crate) const LAST: &str = "/etc/sysctl.conf";

impl Context<'_> {
    pub(super) fn sysctl(&self, keys: &[String], expect: &Expect) -> Result<Outcome, Reason> {
        let files = self.sysctl_files()?;
        let outcomes = keys.iter().map(|key| {
            let both = [self.live(key, expect), persisted(self, &files, key, expect)];
            Outcome::all(both.into_iter().map(|outcome| outcome.unwrap_or_else(Outcome::unknown)))
        });
        Ok(Outcome::all(outcomes))
    }

    fn live(&self, key: &str, expect: &Expect) -> Result<Outcome, Reason> {
        let node = self.node()?;
        let value = node.fact(key, |statement| statement.sysctl.get(key))?;
        let subject = format!("{key}, live");
        Ok(match value {
            Some(value) => {
                let proof = node.stated_proof(&subject, value.clone(), expect.to_string());
                Outcome::one(expect.holds(std::slice::from_ref(value)), proof)
            }
            None => Outcome::one(true, node.stated_proof(&subject, "not in this kernel", expect.to_string()))
                .not_applicable(),
        })
    }

    /// Files in the order in which they are read: by name, of each name the first directory's.
    fn sysctl_files(&self) -> Result<Vec<Source<'_>>, Reason> {
        let mut by_name: BTreeMap<Vec<u8>, Source<'_>> = BTreeMap::new();
        for source in self.sources(&Target(DIRECTORIES.map(str::to_owned).to_vec()))? {
            by_name.entry(source.path.file_name().to_vec()).or_insert(source);
        }
        let mut files: Vec<Source<'_>> = by_name.into_values().collect();
        files.extend(self.sources(&Target(vec![LAST.to_owned()]))?);
        Ok(files)
    }
}

/// The last assignment holds; one to a pattern counts only where none names the parameter itself.
fn persisted(
    context: &Context<'_>,
    files: &[Source<'_>],
    key: &str,
    expect: &Expect,
) -> Result<Outcome, Reason> {
    let (mut exact, mut pattern) = (None, None);
    for source in files {
        let content = source.content.text();
        for assignment in text::assignments(&content) {
            let name = assignment.key.trim_start_matches('-').replace('/', ".");
            let held = (source, text::unquoted(assignment.value).to_owned());
            if name == key {
                exact = Some(held);
            } else if name.contains('*') && text::wildcard(&name, key) {
                pattern = Some(held);
            }
        }
    }
    let node = context.node()?;
    let absent = node.statement()?.sysctl.get(key).is_some_and(Option::is_none);
    if absent {
        return Ok(Outcome::one(true, node.stated_proof(key, "not in this kernel", expect.to_string()))
            .not_applicable());
    }
    let target = Target([DIRECTORIES.as_slice(), &[LAST]].concat().into_iter().map(str::to_owned).collect());
    let found = exact.or(pattern);
    context.judged(&target, files, found, &format!("{key}, at boot"), expect, false)
}
