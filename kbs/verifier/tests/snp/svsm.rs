//! Step 9.

use crate::world::World;
use sealpod_evidence::snp::cert_table::Guid;
use sealpod_evidence::snp::manifest::{self, VTPM};
use sealpod_testkit::Bundle;
use sealpod_testkit::keys::Key;
use sealpod_testkit::report::ReportFields;
use sealpod_testkit::tpm::Tpm;
use sealpod_verifier::{BindingLevel, Check};

fn resigned(spoil: impl FnOnce(&mut ReportFields)) -> World {
    World::spoiled(|sealed| {
        spoil(sealed.svsm_report.as_mut().unwrap());
        sealed.resign_svsm();
    })
}

#[test]
fn an_svsm_establishes_the_strongest_level() {
    let mut world = World::valid();
    world.policy.minimum_binding_level = BindingLevel::Svsm;
    assert_eq!(world.accepted().binding_level(), BindingLevel::Svsm);
}

#[test]
fn a_guest_that_was_launched_without_an_svsm_cannot_play_one() {
    // Root of such a guest asks for both reports itself; every signature and every binding is right.
    let mut bundle = Bundle::valid();
    bundle.report.vmpl = 0;
    let mut world = World::of(bundle);
    world.refused(Check::LaunchVmpl);
    world.reference.snp_measurements[0].guest_vmpl = 0;
    world.refused(Check::SvsmUnexpected);
    // Nor with a primary report of the level that an SVSM's guest has.
    let mut world = World::valid();
    world.reference.snp_measurements[0].guest_vmpl = 0;
    world.refused(Check::LaunchVmpl);
}

#[test]
fn the_guest_of_an_svsm_that_says_nothing_has_the_level_of_a_host_vtpm() {
    let bundle = Bundle { svsm: false, ..Bundle::valid() };
    let mut world = World::of(bundle);
    world.refused(Check::LaunchVmpl);
    world.reference.snp_measurements[0].guest_vmpl = 2;
    world.refused(Check::BindingLevel);
    world.policy.minimum_binding_level = BindingLevel::Host;
    world.policy.dangerous_accept_host_vtpm = true;
    assert_eq!(world.accepted().binding_level(), BindingLevel::Host);
}

#[test]
fn the_svsm_report_holds_as_the_primary_one() {
    for vmpl in [1, 2, 0xffff_ffff] {
        resigned(|report| report.vmpl = vmpl).refused(Check::SvsmReport);
    }
    World::spoiled(|sealed| {
        sealed.svsm_key = Key::ForeignVcek;
        sealed.resign_svsm();
    })
    .refused(Check::SvsmReport);
    resigned(|report| report.signature_algorithm = 2).refused(Check::SvsmReport);
    resigned(|report| report.flags = 1 << 2).refused(Check::SvsmReport);
    resigned(|report| report.policy |= 1 << 19).refused(Check::SvsmReport);
    resigned(|report| report.reported_tcb[6] -= 1).refused(Check::SvsmReport);
    resigned(|report| report.committed_tcb[7] -= 1).refused(Check::SvsmReport);
    resigned(|report| report.patches.push((0x3a, 1))).refused(Check::SvsmReport);
    resigned(|report| report.cpuid = [0x19, 0x01, 1]).refused(Check::SvsmReport);
    World::spoiled(|sealed| {
        sealed.additional.tpm.svsm.as_mut().unwrap().report.0[0x140] ^= 1;
        sealed.rebind();
    })
    .refused(Check::SvsmReport);
}

#[test]
fn the_svsm_report_binds_nonce_key_and_manifest() {
    resigned(|report| report.report_data[0] ^= 1).refused(Check::SvsmReportData);
    World::spoiled(|sealed| {
        sealed.additional.tpm.svsm.as_mut().unwrap().manifest.0[9] ^= 1;
        sealed.rebind();
    })
    .refused(Check::SvsmReportData);
    // An SVSM's answer to an earlier challenge.
    World::spoiled(|sealed| {
        let nonce = std::mem::replace(&mut sealed.nonce, "earlier".into());
        let manifest = sealed.additional.tpm.ek_public.0.clone();
        sealed.revouch(manifest);
        sealed.nonce = nonce;
        sealed.rebind();
    })
    .refused(Check::SvsmReportData);
}

#[test]
fn the_svsm_is_of_the_same_guest() {
    type Spoil = fn(&mut ReportFields);
    let spoils: [(&str, Spoil); 5] = [
        ("REPORT_ID ", |report| report.report_id[31] ^= 1),
        ("REPORT_ID_MA ", |report| report.report_id_ma[0] = 0),
        ("MEASUREMENT ", |report| report.measurement[0] ^= 1),
        ("POLICY ", |report| report.policy |= 1 << 20),
        ("HOST_DATA ", |report| report.host_data[0] ^= 1),
    ];
    for (field, spoil) in spoils {
        let error = resigned(spoil).refused(Check::SvsmSameGuest);
        assert!(error.expected.starts_with(field), "{error}");
    }
    // With a VLEK the certificate names no chip, so the comparison is all there is.
    let mut bundle = Bundle::with_vlek();
    bundle.report.chip_id = [1; 64];
    World::of(bundle).accepted();
    let world = World::spoiled(|sealed| {
        let vlek = Bundle::with_vlek();
        sealed.certificates = vlek.certificates;
        (sealed.report_key, sealed.svsm_key) = (Key::Vlek, Key::Vlek);
        sealed.report.flags |= 1 << 2;
        let svsm = sealed.svsm_report.as_mut().unwrap();
        svsm.flags |= 1 << 2;
        svsm.chip_id = [1; 64];
        sealed.resign_svsm();
    });
    assert!(world.refused(Check::SvsmSameGuest).expected.starts_with("CHIP_ID"));
}

#[test]
fn the_manifest_is_the_endorsement_key() {
    let foreign = Tpm::foreign().ek_public();
    World::spoiled(|sealed| sealed.revouch(foreign.clone())).refused(Check::SvsmManifest);
    World::spoiled(|sealed| {
        let longer = [&sealed.additional.tpm.ek_public.0[..], &[0]].concat();
        sealed.revouch(longer);
    })
    .refused(Check::SvsmManifest);
    World::spoiled(|sealed| sealed.revouch(Vec::new())).refused(Check::SvsmManifest);
    World::spoiled(|sealed| {
        sealed.additional.tpm.ek_public.0 = foreign;
        sealed.rebind();
    })
    .refused(Check::SvsmManifest);
}

/// The valid pod under an SVSM that lists all its services: another one, and the vTPM with the endorsement key. Spoiled before the SVSM
/// signs it.
fn all_services(spoil: impl FnOnce(&mut Vec<u8>)) -> World {
    World::spoiled(|sealed| {
        let ek = sealed.additional.tpm.ek_public.0.clone();
        let mut table = manifest::encode(&[(Guid([0x11; 16]), b"reboot"), (VTPM, &ek)]);
        spoil(&mut table);
        sealed.revouch(table);
    })
}

/// Sets the offset (field 0) or length (field 1) of a service, or the header's (entry 0) length and count.
fn set(table: &mut [u8], entry: usize, field: usize, value: u32) {
    let at = entry * 24 + 16 + field * 4;
    table[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

#[test]
fn a_manifest_of_all_services_names_the_endorsement_key_too() {
    let mut world = all_services(|_| ());
    world.policy.minimum_binding_level = BindingLevel::Svsm;
    assert_eq!(world.accepted().binding_level(), BindingLevel::Svsm);
}

#[test]
fn a_manifest_of_all_services_is_taken_to_its_last_byte() {
    type Spoil = fn(&mut Vec<u8>);
    let spoils: [(&str, Spoil); 9] = [
        // Without its header's GUID it is one service's manifest, and no key.
        ("sha256:", |table| table[0] ^= 1),
        ("names no vTPM", |table| table[48] ^= 1),
        ("is twice", |table| table.copy_within(48..64, 24)),
        ("says that it has 1 bytes", |table| set(table, 0, 0, 1)),
        ("at most 16 services", |table| set(table, 0, 1, u32::MAX)),
        ("is at 72 in the services manifest, expected 78", |table| set(table, 2, 0, 72)),
        ("is at 4096", |table| set(table, 2, 0, 4096)),
        ("has 4294967295 bytes", |table| set(table, 2, 1, u32::MAX)),
        ("are in no service", |table| {
            table.push(0);
            let length = table.len() as u32;
            set(table, 0, 0, length);
        }),
    ];
    for (says, spoil) in spoils {
        let error = all_services(spoil).refused(Check::SvsmManifest);
        assert!(error.found.contains(says), "{error}");
    }
    // The key of another TPM at the vTPM's place.
    let error = all_services(|table| *table.last_mut().unwrap() ^= 1).refused(Check::SvsmManifest);
    assert!(error.found.starts_with("sha256:"), "{error}");
    // One that the SVSM did not sign.
    World::spoiled(|sealed| {
        let ek = sealed.additional.tpm.ek_public.0.clone();
        sealed.additional.tpm.svsm.as_mut().unwrap().manifest.0 = manifest::encode(&[(VTPM, &ek)]);
        sealed.rebind();
    })
    .refused(Check::SvsmReportData);
}

#[test]
fn without_an_svsm_the_level_is_host_and_has_to_be_accepted_twice() {
    let mut bundle = Bundle { svsm: false, ..Bundle::valid() };
    bundle.report.vmpl = 0;
    let mut world = World::of(bundle);
    world.refused(Check::BindingLevel);
    world.policy.minimum_binding_level = BindingLevel::Host;
    world.refused(Check::BindingLevel);
    world.policy.dangerous_accept_host_vtpm = true;
    assert_eq!(world.accepted().binding_level(), BindingLevel::Host);
    world.policy.minimum_binding_level = BindingLevel::GuestKernel;
    world.refused(Check::BindingLevel);
}
