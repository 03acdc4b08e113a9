//! sshd's configuration as sshd reads it (sshd_config(5)): of each keyword the first value holds, `Include` is read in its place,
//! and what stands in a `Match` block holds for those whom it matches.

use super::files::{Source, excerpt};
use super::outcome::Outcome;
use super::{Context, text};
use crate::expect::Expect;
use crate::finding::Reason;
use crate::rule::Target;
use sealpod_evidence::node::{NodePath, PathPattern};

/// The configuration.
const CONFIG: &str = "/etc/ssh/sshd_config";
/// Most files of one configuration, and deepest `Include` (sshd's own limit is 16 deep).
const MAX_FILES: usize = 64;
const MAX_DEPTH: usize = 16;
/// Most lines of all of them: a real configuration has a hundred.
const MAX_LINES: usize = 20_000;

/// One keyword and its value, and whether it stands in a `Match` block.
struct Line {
    keyword: String,
    value: String,
    source: usize,
    matched: Option<String>,
}

struct Reading<'n> {
    sources: Vec<Source<'n>>,
    lines: Vec<Line>,
}

impl<'a> Context<'a> {
    pub(super) fn sshd(
        &self,
        keyword: &str,
        expect: &Expect,
        absent_passes: bool,
    ) -> Result<Outcome, Reason> {
        let mut reading = Reading { sources: Vec::new(), lines: Vec::new() };
        let target = Target(vec![CONFIG.to_owned()]);
        self.read(&mut reading, CONFIG, None, 0)?;
        let wanted = |line: &&Line| line.keyword.eq_ignore_ascii_case(keyword);
        let first = reading.lines.iter().filter(wanted).find(|line| line.matched.is_none());
        let found = first.and_then(|line| Some((reading.sources.get(line.source)?, line.value.clone())));
        let global = self.judged(&target, &reading.sources, found, keyword, expect, absent_passes)?;
        // A block can only loosen what a global value has settled: whoever it matches gets its value.
        let blocks = reading.lines.iter().filter(wanted).filter_map(|line| {
            let block = line.matched.as_ref()?;
            let source = reading.sources.get(line.source)?;
            let loosens = !expect.holds(std::slice::from_ref(&line.value));
            let subject = format!("{keyword} for Match {block}");
            loosens.then(|| {
                Outcome::one(false, source.proof(&subject, excerpt(&line.value), expect.to_string()))
            })
        });
        Ok(Outcome::all([global].into_iter().chain(blocks)))
    }

    fn read(
        &self,
        reading: &mut Reading<'a>,
        pattern: &str,
        outer: Option<&str>,
        depth: usize,
    ) -> Result<(), Reason> {
        let node = self.node()?;
        let pattern: PathPattern = pattern
            .parse()
            .map_err(|_| Reason::NotStated { what: format!("what sshd includes: {pattern}") })?;
        let mut paths = node.expand(&pattern)?;
        paths.sort();
        for path in paths {
            let Some(content) = node.content(&path)? else { continue };
            if reading.sources.len() == MAX_FILES || depth == MAX_DEPTH {
                return Err(Reason::Unreadable { path, problem: "too many files are included".to_owned() });
            }
            let source = reading.sources.len();
            let lines = content.text();
            reading.sources.push(Source { path, content });
            let mut matched = outer.map(str::to_owned);
            for line in text::lines(&lines) {
                let (keyword, value) = keyword(line);
                if keyword.eq_ignore_ascii_case("match") {
                    let all = value.eq_ignore_ascii_case("all");
                    matched = if all { outer.map(str::to_owned) } else { Some(value.to_owned()) };
                } else if keyword.eq_ignore_ascii_case("include") {
                    for file in value.split_whitespace().map(text::unquoted) {
                        let file =
                            if file.starts_with('/') { file.to_owned() } else { format!("/etc/ssh/{file}") };
                        self.read(reading, &file, matched.as_deref(), depth + 1)?;
                    }
                } else {
                    if reading.lines.len() == MAX_LINES {
                        let problem = format!("more than {MAX_LINES} lines");
                        let path = reading.sources.last().map(|source| source.path.clone());
                        return Err(Reason::Unreadable {
                            path: path.unwrap_or_else(NodePath::root),
                            problem,
                        });
                    }
                    let (keyword, value) = (keyword.to_owned(), value.to_owned());
                    reading.lines.push(Line { keyword, value, source, matched: matched.clone() });
                }
            }
        }
        Ok(())
    }
}

/// `Keyword value`, or with `=` between them.
fn keyword(line: &str) -> (&str, &str) {
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at_checked(end).unwrap_or((line, ""));
    let value = rest.trim_start().strip_prefix('=').unwrap_or(rest).trim();
    (keyword, text::unquoted(value))
}
