//! The least SNP firmware as an owner writes it: `genoa=3.0.20.72`.

use sealpod_evidence::reference_values::SnpTcb;
use std::str::FromStr;

/// The least TCB of one product line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinimumTcb {
    /// `milan`, `genoa` or `turin`.
    pub product: String,
    /// Each component at least this.
    pub tcb: SnpTcb,
}

/// Why a text is not a [`MinimumTcb`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected milan= or genoa=BOOTLOADER.TEE.SNP.MICROCODE, or turin=FMC.BOOTLOADER.TEE.SNP.MICROCODE, each 0 to 255; found {found:?}"
)]
pub struct MinimumTcbError {
    /// The text, cut to 64 characters.
    pub found: String,
}

impl FromStr for MinimumTcb {
    type Err = MinimumTcbError;
    fn from_str(text: &str) -> Result<Self, MinimumTcbError> {
        parse(text).ok_or_else(|| MinimumTcbError { found: text.chars().take(64).collect() })
    }
}

fn parse(text: &str) -> Option<MinimumTcb> {
    let (product, numbers) = text.split_once('=')?;
    let numbers: Vec<u8> = numbers.split('.').map(|n| n.parse().ok()).collect::<Option<_>>()?;
    let (fmc, rest) = match (product, numbers.as_slice()) {
        ("milan" | "genoa", rest) => (None, rest),
        ("turin", [fmc, rest @ ..]) => (Some(*fmc), rest),
        _ => return None,
    };
    let &[bootloader, tee, snp, microcode] = rest else { return None };
    Some(MinimumTcb { product: product.to_owned(), tcb: SnpTcb { fmc, bootloader, tee, snp, microcode } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_least_tcb_names_its_product_and_every_component() {
        let genoa: MinimumTcb = "genoa=3.0.20.72".parse().unwrap();
        let tcb = SnpTcb { fmc: None, bootloader: 3, tee: 0, snp: 20, microcode: 72 };
        assert_eq!(genoa, MinimumTcb { product: "genoa".to_owned(), tcb });
        let turin: MinimumTcb = "turin=1.3.0.20.72".parse().unwrap();
        assert_eq!(turin.tcb.fmc, Some(1));
        for bad in [
            "",
            "genoa",
            "genoa=",
            "genoa=3.0.20",
            "genoa=1.3.0.20.72",
            "turin=3.0.20.72",
            "rome=1.2.3.4",
            "genoa=3.0.20.256",
            "genoa=3.0.-1.2",
        ] {
            assert!(bad.parse::<MinimumTcb>().is_err(), "{bad}");
        }
    }
}
