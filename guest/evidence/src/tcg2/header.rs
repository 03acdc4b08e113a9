//! The Spec ID event: the header of a crypto agile log (PFP 1.06 section 10.4.5.1).

use super::{
    ALG_SHA1, ALG_SHA256, ALG_SHA384, ALG_SHA512, BootLogError, EV_NO_ACTION, Layout, MAX_ALGORITHMS,
};
use crate::reader::{ReadError, Reader};

const SIGNATURE: &[u8] = b"Spec ID Event03\0";
/// The largest digest of any TPM algorithm, in bytes.
const MAX_DIGEST: u16 = 64;
/// TPM_ALG_SM3_256, TPM_ALG_SHA3_256, TPM_ALG_SHA3_384, TPM_ALG_SHA3_512.
const OTHER_SIZES: [(u16, u16); 4] = [(0x12, 32), (0x27, 32), (0x28, 48), (0x29, 64)];

/// What the header says of the log. None of it is extended anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecId<'a> {
    /// 0 client, 1 server.
    pub platform_class: u32,
    /// Errata of PFP 2.0 that the firmware follows.
    pub errata: u8,
    /// Digest algorithms and sizes.
    pub algorithms: Algorithms<'a>,
    /// Free for the firmware's vendor.
    pub vendor_info: &'a [u8],
}

/// The header's table of digest algorithms: no algorithm twice, known ones with their size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Algorithms<'a>(pub(super) &'a [[u8; 4]]);

impl<'a> SpecId<'a> {
    pub(super) fn read(log: &mut Reader<'a>, layout: Layout) -> Result<Self, BootLogError> {
        let (register, event_type) = (log.le_u32()?, log.le_u32()?);
        let digest = log.array::<20>()?;
        let size = log.le_u32()?;
        let mut event = Reader::new(log.take(size as usize)?);
        if event.take(SIGNATURE.len()) != Ok(SIGNATURE) {
            return Err(BootLogError::Legacy { found: event_type });
        }
        // The CCEL of OVMF and its descendants puts the header in register 1.
        let expected = if layout == Layout::Ccel { 1 } else { 0 };
        if event_type != EV_NO_ACTION || register > expected || digest != [0; 20] {
            return Err(BootLogError::HeaderEvent { event_type, register });
        }
        Self::fields(&mut event)
    }

    fn fields(event: &mut Reader<'a>) -> Result<Self, BootLogError> {
        let length = BootLogError::HeaderLength;
        let field = |field, found: u64| BootLogError::HeaderField { field, found };
        let platform_class = event.le_u32().map_err(length)?;
        let [minor, major, errata, uintn_size] = event.array().map_err(length)?;
        if platform_class > 1 {
            return Err(field("platformClass", platform_class.into()));
        }
        if (major, minor) != (2, 0) {
            return Err(field("specVersion", u64::from(major) << 8 | u64::from(minor)));
        }
        if !matches!(uintn_size, 1 | 2) {
            return Err(field("uintnSize", uintn_size.into()));
        }
        let count = event.le_u32().map_err(length)?;
        if !(1..=MAX_ALGORITHMS).contains(&count) {
            return Err(field("numberOfAlgorithms", count.into()));
        }
        let algorithms = Algorithms::read(event, count as usize)?;
        let vendor_len = event.u8().map_err(length)?;
        let vendor_info = event.take(vendor_len.into()).map_err(length)?;
        match event.rest().len() {
            0 => Ok(Self { platform_class, errata, algorithms, vendor_info }),
            left => Err(length(ReadError::Trailing { offset: event.offset(), left })),
        }
    }
}

impl<'a> Algorithms<'a> {
    fn read(event: &mut Reader<'a>, count: usize) -> Result<Self, BootLogError> {
        let bytes = event.take(count.saturating_mul(4)).map_err(BootLogError::HeaderLength)?;
        let table = Self(bytes.as_chunks().0);
        for (position, (algorithm, size)) in table.iter().enumerate() {
            let twice = table.iter().take(position).any(|(other, _)| other == algorithm);
            let wrong = known_size(algorithm).map_or(size == 0 || size > MAX_DIGEST, |known| known != size);
            if twice || wrong {
                return Err(BootLogError::HeaderAlgorithm { algorithm, found: size });
            }
        }
        Ok(table)
    }

    /// TPM_ALG_ID and digest size in bytes, in the header's order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u16, u16)> + use<'a> {
        self.0.iter().map(|[a, b, c, d]| (u16::from_le_bytes([*a, *b]), u16::from_le_bytes([*c, *d])))
    }

    /// Digest size in bytes of an algorithm, if the log has it.
    pub fn size(&self, algorithm: u16) -> Option<u16> {
        self.iter().find(|(id, _)| *id == algorithm).map(|(_, size)| size)
    }
}

fn known_size(algorithm: u16) -> Option<u16> {
    match algorithm {
        ALG_SHA1 => Some(20),
        ALG_SHA256 => Some(32),
        ALG_SHA384 => Some(48),
        ALG_SHA512 => Some(64),
        other => OTHER_SIZES.iter().find(|(id, _)| *id == other).map(|(_, size)| *size),
    }
}
