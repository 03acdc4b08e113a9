//! Steps 3 to 6 where product lines differ, and where a line's own layout can be spoiled.

use crate::world::{World, root};
use sealpod_evidence::snp::report::Product;
use sealpod_testkit::Bundle;
use sealpod_testkit::keys::Key;
use sealpod_testkit::pki::{self, Certificate, CertificateTable, Guid, Line, VekExtensions};
use sealpod_testkit::report::ReportFields;
use sealpod_verifier::{Check, SnpRoot};

const TURIN_FMC: usize = 0;
const TURIN_SNP: usize = 3;

fn of(line: Line, bundle: Bundle) -> World {
    let product = match line {
        Line::Milan => Product::Milan,
        Line::Genoa => Product::Genoa,
        Line::Turin => Product::Turin,
    };
    let mut world = World::of(bundle);
    world.endorsements.set_snp_roots(vec![SnpRoot { product, ..root(Key::Ark) }]);
    world
}

fn turin(spoil: impl FnOnce(&mut ReportFields)) -> World {
    let mut bundle = Bundle::on(Line::Turin);
    spoil(&mut bundle.report);
    of(Line::Turin, bundle)
}

fn turin_certificate(spoil: impl FnOnce(&mut VekExtensions)) -> World {
    let mut certificate = Line::Turin.certificate(Certificate::vcek());
    spoil(certificate.vek.as_mut().unwrap());
    let table = Line::Turin.table().with(Guid::VCEK, certificate.to_der());
    of(Line::Turin, Bundle { certificates: table.to_bytes(), ..Bundle::on(Line::Turin) })
}

#[test]
fn every_line_is_taken_in_the_report_versions_that_it_has() {
    for (line, versions) in [(Line::Milan, 2..=5), (Line::Genoa, 2..=5), (Line::Turin, 3..=5)] {
        for version in versions {
            let mut bundle = Bundle::on(line);
            bundle.report.version = version;
            if version == 2 {
                bundle.report.cpuid = [0; 3];
            }
            let result = of(line, bundle).accepted();
            let snp = &result.claims()["snp"];
            assert_eq!(snp["product"], line.name().to_lowercase());
            assert_eq!(snp.get("launch_mit_vector").is_some(), version >= 5);
            assert_eq!(snp.get("reported_tcb_fmc").is_some(), line == Line::Turin);
        }
    }
}

#[test]
fn a_version_2_report_is_no_turins() {
    turin(|report| (report.version, report.cpuid) = (2, [0; 3])).refused(Check::ReservedBytes);
    // Nor if its bytes happen to be right for a Milan.
    turin(|report| {
        (report.version, report.cpuid) = (2, [0; 3]);
        let tcbs = [
            &mut report.current_tcb,
            &mut report.reported_tcb,
            &mut report.committed_tcb,
            &mut report.launch_tcb,
        ];
        tcbs.into_iter().for_each(|tcb| *tcb = [0; 8]);
    })
    .refused(Check::CertificateProduct);
}

#[test]
fn turins_least_tcb_has_an_fmc_version() {
    let mut world = turin(|_| ());
    world.accepted();
    let least = world.reference.snp_minimum_tcb.get_mut("turin").unwrap();
    least.fmc = Some(2);
    let error = world.refused(Check::MinimumTcb);
    assert!(error.expected.starts_with("reported TCB"), "{error}");
    turin(|report| report.launch_tcb[TURIN_FMC] = 0).refused(Check::MinimumTcb);
    turin(|report| report.launch_tcb[TURIN_SNP] -= 1).refused(Check::MinimumTcb);
}

#[test]
fn the_least_tcb_is_one_lines_and_no_others() {
    let mut world = turin(|_| ());
    let least = world.reference.snp_minimum_tcb.remove("turin").unwrap();
    world.reference.snp_minimum_tcb.insert("genoa".into(), pki::TCB);
    assert_eq!(world.refused(Check::MinimumTcb).found, "none listed");
    world.reference.snp_minimum_tcb.insert("turin".into(), least);
    world.accepted();
}

#[test]
fn turins_roll_back_is_seen_in_its_own_layout() {
    turin(|report| report.committed_tcb[TURIN_FMC] = 0).refused(Check::TcbOrder);
    turin(|report| report.current_tcb[TURIN_SNP] -= 1).refused(Check::TcbOrder);
    turin(|report| report.current_tcb[TURIN_SNP] += 1).accepted();
    // What is Genoa's SNP version is reserved here.
    turin(|report| report.current_tcb[6] = 1).refused(Check::ReservedBytes);
}

#[test]
fn turins_certificate_has_an_fmc_version_and_a_short_chip_id() {
    turin_certificate(|_| ()).accepted();
    turin_certificate(|vek| vek.tcb.fmc = None).refused(Check::CertificateTcb);
    turin_certificate(|vek| vek.tcb.fmc = Some(2)).refused(Check::CertificateTcb);
    turin_certificate(|vek| vek.hardware_id = Some(vec![0x5a; 64])).refused(Check::CertificateHardwareId);
    turin_certificate(|vek| vek.hardware_id = Some(vec![0x5b; 8])).refused(Check::CertificateHardwareId);
    turin(|report| report.chip_id[8] = 1).refused(Check::CertificateHardwareId);
    turin_certificate(|vek| vek.hardware_id = Some([&[4, 8][..], &[0x5a; 8]].concat())).accepted();
}

#[test]
fn a_line_is_not_taken_for_another() {
    // A Genoa's report beside a Milan's chain.
    let mut bundle = Bundle::on(Line::Genoa);
    bundle.certificates = Line::Milan.table().to_bytes();
    of(Line::Milan, bundle).refused(Check::CertificateProduct);
    // A Turin's root does not speak for a Milan.
    of(Line::Turin, Bundle::on(Line::Milan)).refused(Check::TrustRoot);
}

#[test]
fn a_vlek_that_has_expired_held_at_its_time() {
    let vlek = Certificate { not_after: pki::NOW - 1, ..Certificate::vlek() };
    let table = CertificateTable::vlek().with(Guid::VLEK, vlek.to_der());
    let mut world = World::of(Bundle { certificates: table.to_bytes(), ..Bundle::with_vlek() });
    let error = world.refused(Check::CertificateValidity);
    assert!(error.expected.contains("SEV-VLEK"), "{error}");
    world.now = pki::NOW - 1;
    world.accepted();
    world.now = pki::NOT_BEFORE - 1;
    world.refused(Check::CertificateValidity);
}
