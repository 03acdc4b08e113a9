//! AMD's structures.

use crate::heap::within;
use sealpod_evidence::snp::cert_table::{self, CertTable};
use sealpod_evidence::snp::manifest;
use sealpod_evidence::snp::report::{Product, REPORT_LEN, Report, SIGNED_LEN};

/// An attestation report: kept byte for byte, with a version and policy that are known.
pub fn report(data: &[u8]) {
    let Ok(report) = within(data.len(), 4, 8 << 10, || Report::parse(data)) else { return };
    assert_eq!(report.raw().as_slice(), data);
    assert_eq!((data.len(), report.signed()), (REPORT_LEN, &data[..SIGNED_LEN]));
    assert!((2..=5).contains(&report.version()));
    // Whatever the product, the bytes of a TCB have a meaning.
    let _ = report.reported_tcb().decode(Product::Milan);
    let _ = report.launch_tcb().decode(Product::Turin);
    let _ = (report.policy(), report.key_info(), report.platform_info(), report.cpuid(), report.product());
    let _ =
        (report.current_mitigation_vector(), report.launch_mitigation_vector(), report.committed_version());
    assert_eq!(report.signature().len(), 96);
}

/// A certificate table: written again, it has the same entries.
pub fn cert_table(data: &[u8]) {
    let Ok(table) = within(data.len(), 4, 8 << 10, || CertTable::parse(data)) else { return };
    let entries: Vec<_> = table.entries().collect();
    for (guid, bytes) in &entries {
        assert_eq!(table.get(*guid), Some(*bytes));
    }
    let written = cert_table::encode(&entries);
    // Empty entries and gaps are not written, so the table may be shorter, never longer.
    if let Ok(again) = CertTable::parse(&written) {
        assert_eq!(again.entries().collect::<Vec<_>>(), entries);
    } else {
        assert!(entries.is_empty() || entries.len() > cert_table::MAX_ENTRIES, "{entries:?}");
    }
}

/// A service manifest: what is taken for the vTPM's part is inside of it.
pub fn svsm_manifest(data: &[u8]) {
    let Ok(ek) = within(data.len(), 4, 8 << 10, || manifest::vtpm(data)) else { return };
    assert!(
        data.as_ptr_range().start <= ek.as_ptr_range().start
            && ek.as_ptr_range().end <= data.as_ptr_range().end
    );
    if data.starts_with(&manifest::SERVICES.to_le_bytes()) {
        let alone = manifest::encode(&[(manifest::VTPM, ek)]);
        assert_eq!(manifest::vtpm(&alone), Ok(ek));
    } else {
        assert_eq!(ek, data);
    }
}
