//! Lines, words and assignments, as configuration files have them.

/// Lines that say something: trimmed, not empty, not comments, with those that a backslash joins as one is not needed here.
pub(super) fn lines(content: &str) -> impl Iterator<Item = &str> {
    content.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
}

/// Whether a line begins with the words of a pattern; `*` within a word stands for anything.
pub(super) fn line_matches(pattern: &str, line: &str) -> bool {
    let mut words = line.split_whitespace();
    pattern.split_whitespace().all(|pattern| words.next().is_some_and(|word| wildcard(pattern, word)))
}

/// `*` stands for anything. Backtracks to the last star only.
pub(super) fn wildcard(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part).and_then(|at| rest.get(at + part.len()..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment<'a> {
    pub(super) section: &'a str,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

/// `key = value` in sections or without; a key alone has an empty value. Quotes stay ([`unquoted`]).
pub(super) fn assignments(content: &str) -> Vec<Assignment<'_>> {
    let mut section = "";
    let mut found = Vec::new();
    for line in lines(content) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
            continue;
        }
        // A shell's word about a variable says nothing of its value, unless it sets it.
        let line = match line.strip_prefix("export ").or_else(|| line.strip_prefix("readonly ")) {
            Some(rest) if !rest.contains('=') => continue,
            Some(rest) => rest.trim_start(),
            None => line,
        };
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        found.push(Assignment { section, key: key.trim(), value: value.trim() });
    }
    found
}

/// `KEY value`; a comment may follow.
pub(super) fn words(content: &str) -> Vec<Assignment<'_>> {
    let assignment = |line| {
        let line = before_comment(line);
        let (key, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        Assignment { section: "", key, value: value.trim() }
    };
    lines(content).map(assignment).collect()
}

fn before_comment(line: &str) -> &str {
    line.find(" #").or_else(|| line.find("\t#")).and_then(|at| line.get(..at)).unwrap_or(line).trim_end()
}

/// A value without the quotes around it.
pub(super) fn unquoted(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_line() {
        assert!(line_matches("server *", "server ntp.example iburst"));
        assert!(line_matches("install cramfs /bin/*", "install  cramfs\t/bin/false"));
        assert!(!line_matches("install cramfs /bin/*", "install cramfs"));
        assert!(!line_matches("pool", "pools x"));
        assert!(wildcard("a*b*c", "aXbYc") && wildcard("*", "") && wildcard("a*", "a") && wildcard("a", "a"));
        assert!(!wildcard("a*b", "ba") && !wildcard("a", "ab") && !wildcard("ab*b", "ab"));
    }

    #[test]
    fn assignments_know_their_section() {
        let found = assignments("# x\na = 1\n[Journal]\n Storage=\"persistent\"\n;c\nenforcing\nexport a\n");
        let expect = |section, key, value| Assignment { section, key, value };
        let expected = [
            expect("", "a", "1"),
            expect("Journal", "Storage", "\"persistent\""),
            expect("Journal", "enforcing", ""),
        ];
        assert_eq!(found, expected);
        assert_eq!(words("UMASK\t027 # strict\n"), [expect("", "UMASK", "027")]);
    }
}
