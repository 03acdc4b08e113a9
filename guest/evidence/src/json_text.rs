//! JSON strings in RFC 8785 form, for long texts: without a copy, and with a quick scan for what is escaped.

/// Calls `hash` with the RFC 8785 form of a string, quotes included, in pieces.
///
/// Section 3.2.2.2: quote, backslash and control characters are escaped, in one way each; all else stands for itself.
pub(crate) fn hash_string(text: &str, hash: &mut impl FnMut(&[u8])) {
    let mut rest = text.as_bytes();
    hash(b"\"");
    loop {
        let (plain, after) = rest.split_at(plain_len(rest));
        hash(plain);
        let Some((escaped, after)) = after.split_first() else { break };
        hash_escape(*escaped, hash);
        rest = after;
    }
    hash(b"\"");
}

fn hash_escape(byte: u8, hash: &mut impl FnMut(&[u8])) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    match byte {
        b'"' => hash(b"\\\""),
        b'\\' => hash(b"\\\\"),
        0x08 => hash(b"\\b"),
        0x09 => hash(b"\\t"),
        0x0a => hash(b"\\n"),
        0x0c => hash(b"\\f"),
        0x0d => hash(b"\\r"),
        _ => {
            let digit = |nibble: u8| HEX.get(usize::from(nibble)).copied().unwrap_or_default();
            hash(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte & 0xf)]);
        }
    }
}

/// Bytes before the first that a JSON string escapes.
fn plain_len(text: &[u8]) -> usize {
    let (blocks, _) = text.as_chunks::<64>();
    // A block is looked at as a whole, without a branch at each byte: that compiles to vector instructions.
    let plain = |block: &&[u8; 64]| !block.iter().fold(false, |any, byte| any | is_escaped(*byte));
    let start = blocks.iter().take_while(plain).count() * 64;
    let rest = text.get(start..).unwrap_or_default();
    start + rest.iter().position(|byte| is_escaped(*byte)).unwrap_or(rest.len())
}

fn is_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn agrees(text: &str) {
        let mut pieces = Vec::new();
        hash_string(text, &mut |piece| pieces.extend_from_slice(piece));
        let known = serde_json_canonicalizer::to_vec(&text).unwrap();
        assert_eq!(pieces, known, "{text:?}");
    }

    #[test]
    fn each_character_alone_is_as_the_canonicalizer_has_it() {
        // Planes above the second hold nothing that a JSON writer could treat in another way than those below.
        for character in ('\u{0}'..='\u{2ffff}').chain(['\u{e0001}', '\u{10ffff}']) {
            agrees(character.encode_utf8(&mut [0; 4]));
        }
    }

    #[test]
    fn an_escape_may_be_anywhere() {
        let specials =
            ["\"", "\\", "\u{0}", "\u{1f}", "\u{7f}", "\u{e9}", "\u{2028}", "\u{fffd}", "\u{1f600}"];
        for special in specials {
            for length in 0..140 {
                let plain = "x".repeat(length);
                agrees(&format!("{plain}{special}"));
                agrees(&format!("{special}{plain}"));
                agrees(&format!("{plain}{special}{special}{plain}"));
            }
        }
    }

    #[test]
    fn pseudo_random_texts_are_as_the_canonicalizer_has_them() {
        // xorshift64: the same texts in every run.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            u32::try_from(state % below).unwrap()
        };
        for _ in 0..3_000 {
            let length = next(300);
            let characters = (0..length).filter_map(|_| {
                let below = [0x20, 0x80, 0x3000, 0x11_0000][next(4) as usize];
                char::from_u32(next(below))
            });
            agrees(&characters.collect::<String>());
        }
    }
}
