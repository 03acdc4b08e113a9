use super::*;
use sealpod_evidence::azure::{AzSnpEvidence, AzTdxEvidence, Hardware};

#[test]
fn every_version_of_snp_evidence_parses() {
    for wire in 0..=2 {
        let sealed = AzureBundle { wire, ..AzureBundle::snp() }.seal();
        let evidence =
            AzSnpEvidence::from_value(&sealed.attestation().tee_evidence.primary_evidence).unwrap();
        assert_eq!((evidence.version, evidence.vcek.as_slice()), (wire, pki::vcek_der()));
        let Hardware::Snp(report) = evidence.hcl.hardware() else { panic!() };
        assert_eq!(report.report_data()[..32], sha256(evidence.hcl.runtime().raw()));
        assert_eq!(evidence.hcl.runtime().user_data().unwrap()[..48], evidence.quote.attest.extra_data);
    }
}

#[test]
fn every_version_of_tdx_evidence_parses() {
    for wire in 0..=2 {
        let sealed = AzureBundle { wire, ..AzureBundle::tdx() }.seal();
        let evidence =
            AzTdxEvidence::from_value(&sealed.attestation().tee_evidence.primary_evidence).unwrap();
        assert_eq!((evidence.version, &evidence.td_quote), (wire, &sealed.td_quote));
        let quote = sealpod_evidence::tdx::Quote::parse(&evidence.td_quote).unwrap();
        let Hardware::Tdx(report) = evidence.hcl.hardware() else { panic!() };
        assert_eq!(report.computed_hashes(), (report.tee_tcb_info_hash, report.tee_info_hash));
        assert_eq!(report.info.mrtd, sealed.td.mrtd);
        assert_eq!(quote.body.report_data(), &report.report_data);
    }
}
