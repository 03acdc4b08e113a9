//! The two things that the build reads from ELF files: needed libraries, and what a kernel module depends on.
//!
//! Only 64-bit little-endian files (System V ABI, AMD64 supplement). Every offset is checked against the file.

/// Why a file's dependencies cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElfError {
    /// Not an x86-64 ELF file.
    #[error("not a 64-bit little-endian ELF file for x86-64")]
    NotElf,
    /// A table lies outside of the file.
    #[error("the ELF file's {0} lies outside of it")]
    Outside(&'static str),
    /// A name is not text.
    #[error("the ELF file holds a name that is not text")]
    Name,
}

const SHT_DYNAMIC: u32 = 6;
const DT_NEEDED: u64 = 1;
const EM_X86_64: u16 = 62;

struct Section<'a> {
    name: &'a [u8],
    kind: u32,
    link: usize,
    data: &'a [u8],
}

/// `DT_NEEDED` entries in order. Empty for a statically linked program.
pub fn needed(file: &[u8]) -> Result<Vec<String>, ElfError> {
    let sections = sections(file)?;
    let Some(dynamic) = sections.iter().find(|s| s.kind == SHT_DYNAMIC) else {
        return Ok(Vec::new());
    };
    let strings = sections.get(dynamic.link).ok_or(ElfError::Outside("string table"))?.data;
    let entries = dynamic.data.chunks_exact(16).map(|e| (u64_at(e, 0), u64_at(e, 8)));
    let entries = entries.take_while(|(tag, _)| *tag != Some(0));
    let wanted = entries.filter(|(tag, _)| *tag == Some(DT_NEEDED));
    wanted
        .map(|(_, offset)| text(strings, offset.and_then(|o| usize::try_from(o).ok()).unwrap_or(usize::MAX)))
        .collect()
}

/// Modules that a kernel module's `.modinfo` section says it depends on.
pub fn module_depends(file: &[u8]) -> Result<Vec<String>, ElfError> {
    let sections = sections(file)?;
    let modinfo =
        sections.iter().find(|s| s.name == b".modinfo").ok_or(ElfError::Outside(".modinfo section"))?;
    let line = modinfo.data.split(|b| *b == 0).find_map(|line| line.strip_prefix(b"depends="));
    let line = std::str::from_utf8(line.unwrap_or_default()).map_err(|_| ElfError::Name)?;
    Ok(line.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

fn sections(file: &[u8]) -> Result<Vec<Section<'_>>, ElfError> {
    if !file.starts_with(b"\x7fELF\x02\x01") || u16_at(file, 18) != Some(EM_X86_64) {
        return Err(ElfError::NotElf);
    }
    let outside = ElfError::Outside("section table");
    let table = u64_at(file, 40).and_then(|o| usize::try_from(o).ok()).ok_or(outside.clone())?;
    let (Some(64), Some(count), Some(names)) = (u16_at(file, 58), u16_at(file, 60), u16_at(file, 62)) else {
        return Err(outside);
    };
    let end = table.checked_add(usize::from(count) * 64).ok_or(outside.clone())?;
    let headers: Vec<&[u8]> = file.get(table..end).ok_or(outside)?.chunks_exact(64).collect();
    let name_header = headers.get(usize::from(names)).ok_or(ElfError::Outside("section name table"))?;
    let name_data = section_data(file, name_header)?;
    headers
        .iter()
        .map(|header| {
            let name = name_data.get(u32_at(header, 0).unwrap_or(u32::MAX) as usize..).unwrap_or_default();
            Ok(Section {
                name: name.split(|b| *b == 0).next().unwrap_or_default(),
                kind: u32_at(header, 4).unwrap_or_default(),
                link: u32_at(header, 40).unwrap_or(u32::MAX) as usize,
                data: section_data(file, header)?,
            })
        })
        .collect()
}

fn section_data<'a>(file: &'a [u8], header: &[u8]) -> Result<&'a [u8], ElfError> {
    const SHT_NOBITS: u32 = 8;
    if matches!(u32_at(header, 4), Some(SHT_NOBITS | 0)) {
        return Ok(&[]);
    }
    let at = |offset| u64_at(header, offset).and_then(|v| usize::try_from(v).ok());
    let range = at(24).zip(at(32)).and_then(|(start, len)| Some(start..start.checked_add(len)?));
    range.and_then(|r| file.get(r)).ok_or(ElfError::Outside("section"))
}

fn text(strings: &[u8], offset: usize) -> Result<String, ElfError> {
    let rest = strings.get(offset..).ok_or(ElfError::Outside("name"))?;
    let name = rest.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8(name.to_owned()).map_err(|_| ElfError::Name)
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes.get(offset..)?.first_chunk().map(|b| u16::from_le_bytes(*b))
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|b| u32::from_le_bytes(*b))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk().map(|b| u64::from_le_bytes(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_program_needs_the_c_library() {
        let file = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(needed(&file).unwrap().contains(&"libc.so.6".to_owned()));
        assert_eq!(module_depends(&file), Err(ElfError::Outside(".modinfo section")));
    }

    #[test]
    fn cut_and_spoiled_files_are_refused_and_never_panic() {
        let file = std::fs::read("/bin/true").unwrap();
        assert!(needed(&file).is_ok());
        for len in [0, 4, 17, 63, 64, file.len() / 2, file.len() - 1] {
            assert!(needed(&file[..len]).is_err(), "{len}");
        }
        for position in 40..64 {
            let mut spoiled = file.clone();
            spoiled[position] ^= 0xff;
            let _ = needed(&spoiled);
        }
        assert_eq!(needed(b"#!/bin/sh\n"), Err(ElfError::NotElf));
    }
}
