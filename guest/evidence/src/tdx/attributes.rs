//! Bit fields of a TD: its attributes and the processor state that it may use.

/// TD attributes (TDX Module ABI 348551-008, table 3.23).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TdAttributes(pub u64);

/// Name of each attribute bit that has one, lowest first.
const NAMES: [(u32, &str); 13] = [
    (0, "DEBUG"),
    (4, "HGS_PLUS_PROF"),
    (5, "PERF_PROF"),
    (6, "PMT_PROF"),
    (16, "ICSSD"),
    (17, "SERVTD_EXT"),
    (27, "LASS"),
    (28, "SEPT_VE_DISABLE"),
    (29, "MIGRATABLE"),
    (30, "PKS"),
    (31, "KL"),
    (62, "TPA"),
    (63, "PERFMON"),
];

impl TdAttributes {
    /// Bits that must be zero: 1 to 3, 7 to 15, 23 to 26 and 32 to 61. Bits 18 to 22 have no name either, but the table leaves
    /// them to future features that a verifier need not know.
    pub const RESERVED: u64 = 0x0000_000e | 0x0000_ff80 | 0x0780_0000 | 0x3fff_ffff_0000_0000;
    /// The group "TD under debug", bits 0 to 7: with any of them set the host can look into the TD.
    pub const UNDER_DEBUG: u64 = 0xff;

    /// The host may read and change memory and registers.
    pub fn debug(self) -> bool {
        self.has(0)
    }

    /// Any bit of the group "TD under debug": debugging, or profiling that shows the host what the TD does.
    pub fn under_debug(self) -> bool {
        self.0 & Self::UNDER_DEBUG != 0
    }

    /// A hash of the extended service TD structure is in the report.
    pub fn servtd_ext(self) -> bool {
        self.has(17)
    }

    /// The host cannot make the TD take a #VE on memory that it took away: without this bit it can inject exceptions.
    pub fn sept_ve_disable(self) -> bool {
        self.has(28)
    }

    /// A migration TD may move it to another machine.
    pub fn migratable(self) -> bool {
        self.has(29)
    }

    /// The bits that should be zero and are not.
    pub fn reserved(self) -> u64 {
        self.0 & Self::RESERVED
    }

    /// Names of the bits that are set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |(bit, _)| self.has(*bit)).map(|(_, name)| name)
    }

    fn has(self, bit: u32) -> bool {
        self.0 >> bit & 1 == 1
    }
}

/// Processor state components that the TD may use, laid out like XCR0 and IA32_XSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Xfam(pub u64);

/// Name of each component that has one (Intel SDM volume 1, section 13.1).
const COMPONENTS: [(u32, &str); 17] = [
    (0, "x87"),
    (1, "SSE"),
    (2, "AVX"),
    (3, "BNDREGS"),
    (4, "BNDCSR"),
    (5, "AVX-512 opmask"),
    (6, "AVX-512 ZMM_Hi256"),
    (7, "AVX-512 Hi16_ZMM"),
    (8, "PT"),
    (9, "PKRU"),
    (10, "PASID"),
    (11, "CET_U"),
    (12, "CET_S"),
    (14, "UINTR"),
    (15, "LBR"),
    (17, "AMX TILECFG"),
    (18, "AMX TILEDATA"),
];

impl Xfam {
    /// Names of the components allowed.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        COMPONENTS.into_iter().filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_bits_are_not_reserved_and_reserved_bits_have_no_name() {
        for (bit, name) in NAMES {
            assert_eq!(TdAttributes(1 << bit).reserved(), 0, "{name}");
        }
        for bit in [1, 2, 3, 7, 8, 15, 23, 26, 32, 61] {
            let attributes = TdAttributes(1 << bit);
            assert_ne!(attributes.reserved(), 0, "bit {bit}");
            assert_eq!(attributes.names().count(), 0, "bit {bit}");
        }
        assert_eq!(TdAttributes::RESERVED.count_ones(), 3 + 9 + 4 + 30);
    }

    #[test]
    fn bits_are_told_in_words() {
        let attributes = TdAttributes(0x1000_0001);
        assert!(attributes.debug() && attributes.under_debug() && attributes.sept_ve_disable());
        assert!(!attributes.migratable() && !attributes.servtd_ext());
        assert_eq!(attributes.names().collect::<Vec<_>>(), ["DEBUG", "SEPT_VE_DISABLE"]);
        assert!(TdAttributes(0x20).under_debug() && !TdAttributes(0x20).debug());
        assert_eq!(Xfam(0x6_0003).names().collect::<Vec<_>>(), ["x87", "SSE", "AMX TILECFG", "AMX TILEDATA"]);
    }
}
