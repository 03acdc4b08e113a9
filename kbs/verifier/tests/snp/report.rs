//! Steps 5 to 7.

use crate::world::World;
use sealpod_evidence::reference_values::SnpTcb;
use sealpod_testkit::keys::Key;
use sealpod_testkit::report::ReportFields;
use sealpod_testkit::{Bundle, report};
use sealpod_verifier::Check;

fn resigned(spoil: impl FnOnce(&mut ReportFields)) -> World {
    World::spoiled(|sealed| {
        spoil(&mut sealed.report);
        sealed.resign();
    })
}

/// Both reports of a guest that was launched like this.
fn launched(spoil: impl FnOnce(&mut ReportFields)) -> World {
    let mut bundle = Bundle::valid();
    spoil(&mut bundle.report);
    World::of(bundle)
}

#[test]
fn the_signature_is_the_certified_keys() {
    World::spoiled(|sealed| {
        sealed.report_key = Key::ForeignVcek;
        sealed.resign();
    })
    .refused(Check::ReportSignature);
}

#[test]
fn every_signed_bit_is_covered() {
    // One bit in each field that no earlier step looks at.
    for at in [0x004, 0x010, 0x020, 0x050, 0x090, 0x0C0, 0x0E0, 0x110, 0x140, 0x160, 0x1E0, 0x1E8, 0x1F0] {
        World::spoiled(|sealed| sealed.report_bytes[at] ^= 1).refused(Check::ReportSignature);
    }
    for at in [report::SIGNED_LEN, report::SIGNED_LEN + 47, report::SIGNED_LEN + 72] {
        World::spoiled(|sealed| sealed.report_bytes[at] ^= 1).refused(Check::ReportSignature);
    }
}

#[test]
fn reserved_and_padding_bytes_are_zero() {
    // Those inside the signed region that a re-encoding would lose, and those beside the signature, which
    // nothing signs.
    for at in [0x3a, 0x3d, 0x182, 0x185, 0x1e2, 0x1f5] {
        World::spoiled(|sealed| sealed.report_bytes[at] = 1).refused(Check::ReservedBytes);
        resigned(|report| report.patches.push((at, 1))).refused(Check::ReservedBytes);
    }
    for at in [0x2d0, 0x2e7, 0x318, 0x49f] {
        World::spoiled(|sealed| sealed.report_bytes[at] = 1).refused(Check::ReservedBytes);
    }
    resigned(|report| report.policy &= !(1 << 17)).refused(Check::ReservedBytes);
}

#[test]
fn only_ecdsa_p384_is_taken() {
    resigned(|report| report.signature_algorithm = 2).refused(Check::SignatureAlgorithm);
}

#[test]
fn a_masked_signature_is_none() {
    let world = World::spoiled(|sealed| {
        sealed.report.flags |= 2;
        sealed.report_bytes = sealed.report.to_bytes().to_vec();
    });
    assert!(world.refused(Check::ReportSignature).found.contains("MASK_CHIP_KEY"));
}

#[test]
fn the_key_kind_is_the_certificates() {
    for kind in [1, 2, 7] {
        resigned(|report| report.flags = kind << 2).refused(Check::SigningKey);
    }
    World::of(Bundle { report: ReportFields::default(), ..Bundle::with_vlek() }).refused(Check::SigningKey);
}

#[test]
fn the_vmpl_is_a_guests() {
    // The host asks for its own reports with all ones.
    for vmpl in [4, 0xffff_ffff] {
        resigned(|report| report.vmpl = vmpl).refused(Check::Vmpl);
    }
}

#[test]
fn debugging_and_migration_are_refused() {
    launched(|report| report.policy |= 1 << 19).refused(Check::DebugAllowed);
    launched(|report| report.policy |= 1 << 18).refused(Check::MigrationAllowed);
}

#[test]
fn debugging_is_let_through_only_where_the_owner_says_dangerous() {
    let mut world = launched(|report| report.policy |= 1 << 19);
    world.policy.dangerous_accept_debug = true;
    let result = world.accepted();
    // What it lets through is never affirmed.
    assert_eq!(result.trust_vector().runtime_opaque, Some(96));
    assert_eq!(result.status(), sealpod_verifier::TrustTier::Contraindicated);
    assert_eq!(result.claims()["snp"]["policy_debug_allowed"], true);
}

#[test]
fn smt_is_the_owners_choice() {
    let mut world = World::valid();
    world.policy.forbid_smt = true;
    world.refused(Check::Smt);
    let mut world = launched(|report| report.platform_info = 0);
    world.policy.forbid_smt = true;
    world.accepted();
}

#[test]
fn the_guest_demanded_an_abi() {
    for (found, least, holds) in
        [(0x0137, [1, 0x37], true), (0x0136, [1, 0x37], false), (0x0200, [1, 0x37], true), (0, [0, 1], false)]
    {
        let mut world = launched(|report| report.policy |= found);
        world.policy.minimum_abi = least;
        if holds {
            world.accepted();
        } else {
            world.refused(Check::AbiVersion);
        }
    }
}

#[test]
fn mitigations_are_demanded_at_launch_and_now() {
    let world = |version, launch, current| {
        let mut world = launched(|report| {
            report.version = version;
            report.launch_mit_vector = launch;
            report.current_mit_vector = current;
        });
        world.policy.required_mitigations = 0b101;
        world
    };
    world(5, 0b101, 0b111).accepted();
    let error = world(5, 0b100, 0b101).refused(Check::Mitigations);
    assert!(error.expected.starts_with("launch"), "{error}");
    let error = world(5, 0b101, 0b110).refused(Check::Mitigations);
    assert!(error.expected.starts_with("current"), "{error}");
    // Older reports have no such field.
    let error = world(4, 0, 0).refused(Check::Mitigations);
    assert_eq!(error.found, "none: a report of version 4");
}

#[test]
fn no_component_is_below_the_least_tcb() {
    let spoils: [fn(&mut SnpTcb); 4] =
        [|t| t.bootloader += 1, |t| t.tee += 1, |t| t.snp += 1, |t| t.microcode += 1];
    for spoil in spoils {
        let mut world = World::valid();
        spoil(world.reference.snp_minimum_tcb.get_mut("genoa").unwrap());
        world.refused(Check::MinimumTcb);
    }
    // The firmware that launched the guest counts too, however new the one is that runs now.
    let (snp, microcode) = (6, 7);
    for component in [snp, microcode] {
        let error = launched(|report| report.launch_tcb[component] -= 1).refused(Check::MinimumTcb);
        assert!(error.expected.starts_with("launch TCB"), "{error}");
    }
    launched(|report| report.launch_tcb = [0; 8]).refused(Check::MinimumTcb);
    let mut world = World::valid();
    world.reference.snp_minimum_tcb.clear();
    assert_eq!(world.refused(Check::MinimumTcb).found, "none listed");
}

#[test]
fn tcbs_are_in_order() {
    let (bootloader, microcode) = (0, 7);
    launched(|report| report.current_tcb[microcode] += 1).accepted();
    let mut world = launched(|report| report.launch_tcb[microcode] -= 1);
    world.reference.snp_minimum_tcb.get_mut("genoa").unwrap().microcode -= 1;
    world.accepted();
    launched(|report| report.committed_tcb[bootloader] -= 1).refused(Check::TcbOrder);
    launched(|report| report.current_tcb[microcode] -= 1).refused(Check::TcbOrder);
    launched(|report| report.launch_tcb[microcode] += 1).refused(Check::TcbOrder);
    // A higher component does not make up for a lower one.
    launched(|report| {
        report.current_tcb[bootloader] += 1;
        report.current_tcb[microcode] -= 1;
    })
    .refused(Check::TcbOrder);
    launched(|report| report.committed_firmware[1] += 1).refused(Check::TcbOrder);
}

#[test]
fn the_report_binds_nonce_key_and_vtpm_evidence() {
    resigned(|report| report.report_data[47] ^= 1).refused(Check::ReportData);
    resigned(|report| report.report_data[48] ^= 1).refused(Check::ReportData);
    World::spoiled(|sealed| sealed.additional_text.push(' ')).refused(Check::ReportData);

    let mut world = World::valid();
    world.attestation.runtime_data.nonce = "another".into();
    world.challenge.nonce = "another".into();
    world.refused(Check::ReportData);

    let mut world = World::valid();
    world.attestation.runtime_data.tee_pubkey = sealpod_evidence::rcar::protocol::TeePubKey::EC {
        crv: "P-256".into(),
        alg: "ECDH-ES+A256KW".into(),
        x: "AAAA".into(),
        y: "BBBB".into(),
    };
    world.refused(Check::ReportData);
}

#[test]
fn newer_and_older_reports_are_taken() {
    for version in [3, 4, 5] {
        launched(|report| report.version = version).accepted();
    }
}
