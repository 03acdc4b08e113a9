//! The end of a machine's serial console, safe to show on a terminal.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// How much of the console's end is looked at.
const TAIL: i64 = 4096;
const LINES: usize = 12;
/// How the agent's own lines begin; the kernel's follow, at least one about the power.
const AGENT: &str = "sealpod-guest:";

/// The last lines, without control characters: the guest must not steer the terminal.
pub fn tail(path: &Path) -> String {
    let text = end(path);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let lines = &lines[lines.len().saturating_sub(LINES)..];
    if lines.is_empty() {
        return "  (nothing)".to_owned();
    }
    lines.iter().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}

/// The last words of the guest's agent, or else the last line of all, for a message's first line.
pub fn last_line(path: &Path) -> String {
    let text = end(path);
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines().rfind(|line| line.starts_with(AGENT)).or_else(|| lines().next_back());
    line.unwrap_or("(nothing)").to_owned()
}

fn end(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = std::fs::File::open(path) {
        // A file shorter than the tail is read from its start.
        let _ = file.seek(SeekFrom::End(-TAIL)).or_else(|_| file.seek(SeekFrom::Start(0)));
        let _ = file.take(TAIL as u64).read_to_end(&mut bytes);
    }
    printable(&String::from_utf8_lossy(&bytes))
}

/// Text from the guest with escape sequences and all control characters but line ends taken out.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\x1b' && rest.next_if_eq(&'[').is_some() {
            // Parameters, then one final character (ECMA-48, section 5.4).
            while rest.next_if(|c| (' '..='?').contains(c)).is_some() {}
            rest.next_if(|c| ('@'..='~').contains(c));
        } else if c == '\n' || !c.is_control() {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_are_the_agents_where_it_said_any() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a\nsealpod-guest: x\nsealpod-guest: \x1b[1mwhy\n[ 1.0] reboot\n\n")
            .unwrap();
        assert_eq!(last_line(file.path()), "sealpod-guest: why");
        std::fs::write(file.path(), "a\n b \n").unwrap();
        assert_eq!(last_line(file.path()), "b");
        assert_eq!(last_line(Path::new("/nowhere")), "(nothing)");
    }

    #[test]
    fn the_tail_has_no_control_characters() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "a\r\n\x1b[2J\x1b[01;01H\x1b[=3hb\x1b").unwrap();
        assert_eq!(tail(file.path()), "  | a\n  | b");
        assert!(tail(Path::new("/nowhere")).contains("nothing"));
    }
}
