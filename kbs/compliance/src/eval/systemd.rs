//! Unit files and command lines, as far as a kubelet's start needs them (systemd.syntax(7), systemd.exec(5), systemd.service(5)).

use super::text;
use std::collections::BTreeMap;

/// Longest command line in words, once variables are put in.
const MAX_WORDS: usize = 4096;
/// Longest command line in bytes, once variables are put in.
const MAX_COMMAND: usize = 256 * 1024;

/// What unit file and drop-ins say, in the order in which they apply.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    /// Command lines of `ExecStart=`, since it was last emptied.
    pub(super) exec_start: Vec<String>,
    /// `Environment=`.
    pub(super) environment: BTreeMap<String, String>,
    /// `EnvironmentFile=`, and whether it may be missing.
    pub(super) environment_files: Vec<(String, bool)>,
}

impl Unit {
    /// Adds one file: the unit itself, or a drop-in.
    pub(super) fn apply(&mut self, content: &str) {
        let joined = content.replace("\\\r\n", " ").replace("\\\n", " ");
        for assignment in text::assignments(&joined) {
            if assignment.section != "Service" {
                continue;
            }
            match (assignment.key, assignment.value) {
                ("ExecStart", "") => self.exec_start.clear(),
                ("ExecStart", command) => self.exec_start.push(command.to_owned()),
                ("Environment", "") => self.environment.clear(),
                ("Environment", assignments) => {
                    for word in split(assignments) {
                        if let Some((name, value)) = word.split_once('=') {
                            self.environment.insert(name.to_owned(), value.to_owned());
                        }
                    }
                }
                ("EnvironmentFile", "") => self.environment_files.clear(),
                ("EnvironmentFile", path) => {
                    let optional = path.starts_with('-');
                    self.environment_files.push((path.trim_start_matches('-').to_owned(), optional));
                }
                _ => {}
            }
        }
    }

    /// Variables of an `EnvironmentFile=`: they override those of `Environment=`.
    pub(super) fn apply_environment_file(&mut self, content: &str) {
        for assignment in text::assignments(content) {
            let value = text::unquoted(assignment.value);
            self.environment.insert(assignment.key.to_owned(), value.to_owned());
        }
    }

    /// The words of a command line, variables put in: `$NAME` as a word is split, `${NAME}` anywhere is not. `None` for one
    /// that grows over its budget.
    pub(super) fn words(&self, command: &str) -> Option<Vec<String>> {
        let mut words = Vec::new();
        let mut length = 0_usize;
        for word in split(command) {
            match word.strip_prefix('$').filter(|name| is_name(name)) {
                Some(name) => {
                    words.extend(self.environment.get(name).map(|value| split(value)).unwrap_or_default())
                }
                None => words.push(self.braces(&word)),
            }
            length = length.saturating_add(words.last().map_or(0, String::len));
            if words.len() > MAX_WORDS || length > MAX_COMMAND {
                return None;
            }
        }
        Some(words)
    }

    fn braces(&self, word: &str) -> String {
        let mut out = String::new();
        let mut rest = word;
        while let Some((before, after)) = rest.split_once("${") {
            out.push_str(before);
            match after.split_once('}') {
                Some((name, after)) => {
                    out.push_str(self.environment.get(name).map_or("", String::as_str));
                    rest = after;
                }
                None => {
                    out.push_str("${");
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        out.replace("$$", "$")
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Words between white space; quotes keep white space together and are taken off.
pub(super) fn split(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut inside, mut quote) = (String::new(), false, None);
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                inside = true;
            }
            (_, '\\') => {
                word.extend(characters.next());
                inside = true;
            }
            (None, c) if c.is_whitespace() => {
                if inside {
                    words.push(std::mem::take(&mut word));
                }
                inside = false;
            }
            (_, c) => {
                word.push(c);
                inside = true;
            }
        }
    }
    if inside {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROP_IN: &str = "[Unit]\nDescription=x\n[Service]\n\
        Environment=\"KUBECONFIG=--kubeconfig=/etc/kubernetes/kubelet.conf --v=2\" 'B=b c'\n\
        EnvironmentFile=-/etc/default/kubelet\nExecStart=\nExecStart=/usr/bin/kubelet $KUBECONFIG \\\n  $EXTRA --b=${B}\n";

    #[test]
    fn a_drop_in_empties_and_sets() {
        let mut unit = Unit::default();
        unit.apply("[Service]\nExecStart=/usr/bin/kubelet --old\n");
        unit.apply(DROP_IN);
        unit.apply_environment_file("EXTRA=\"--node-ip=1.2.3.4 --max-pods=9\"\n");
        assert_eq!(unit.environment_files, [("/etc/default/kubelet".to_owned(), true)]);
        assert_eq!(unit.exec_start.len(), 1);
        let expected = [
            "/usr/bin/kubelet",
            "--kubeconfig=/etc/kubernetes/kubelet.conf",
            "--v=2",
            "--node-ip=1.2.3.4",
            "--max-pods=9",
            "--b=b c",
        ];
        assert_eq!(unit.words(&unit.exec_start[0]).unwrap(), expected);
    }

    #[test]
    fn quotes_and_escapes() {
        assert_eq!(split("a \"b c\" 'd'\\ e \"\""), ["a", "b c", "d e", ""]);
    }

    #[test]
    fn a_command_line_that_grows_is_refused() {
        let mut unit = Unit::default();
        unit.environment.insert("A".into(), "x ".repeat(5000));
        assert_eq!(unit.words("$A"), None);
    }
}
