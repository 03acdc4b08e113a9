//! Step 8.

use crate::world::World;
use sealpod_evidence::bytes::HexArray;
use sealpod_testkit::Bundle;
use sealpod_verifier::Check;

#[test]
fn the_launch_digest_is_a_reference_value() {
    let mut world = World::valid();
    world.reference.snp_measurements[0].measurement.0[0] ^= 1;
    world.refused(Check::LaunchDigest);
    world.reference.snp_measurements.clear();
    world.refused(Check::LaunchDigest);
}

#[test]
fn the_guest_runs_at_the_level_that_its_launch_gives_it() {
    for vmpl in [0, 1, 3] {
        let world = World::spoiled(|sealed| {
            sealed.report.vmpl = vmpl;
            sealed.resign();
        });
        assert_eq!(world.refused(Check::LaunchVmpl).found, vmpl.to_string());
    }
    let bare = |vmpl| {
        let mut bundle = Bundle { svsm: false, ..Bundle::valid() };
        bundle.report.vmpl = vmpl;
        World::of(bundle)
    };
    // Without an SVSM the kernel is at VMPL 0 and could ask for a report of any level.
    bare(1).refused(Check::LaunchVmpl);
    bare(0).refused(Check::BindingLevel);
}

#[test]
fn host_data_is_the_digest_of_the_initdata_sent() {
    World::spoiled(|sealed| sealed.initdata.as_mut().unwrap().push('\n')).refused(Check::HostData);
    World::spoiled(|sealed| {
        sealed.report.host_data[0] ^= 1;
        sealed.resign();
    })
    .refused(Check::HostData);
}

#[test]
fn initdata_is_a_reference_value() {
    let mut world = World::valid();
    world.reference.initdata[0].sha256.0[0] ^= 1;
    world.refused(Check::InitdataReference);
    world.reference.initdata.clear();
    world.refused(Check::InitdataReference);
}

#[test]
fn an_id_block_author_is_demanded_where_the_owner_lists_one() {
    let world = |enabled: u32, digest: u8| {
        let mut bundle = Bundle::valid();
        bundle.report.flags |= enabled;
        bundle.report.author_key_digest = [digest; 48];
        let mut world = World::of(bundle);
        world.policy.id_block_authors = vec![HexArray([1; 48]), HexArray([2; 48])];
        world
    };
    world(1, 2).accepted();
    world(1, 3).refused(Check::IdBlockAuthor);
    // The digest means nothing unless the firmware says that there is an author key.
    world(0, 2).refused(Check::IdBlockAuthor);
    world(0, 0).refused(Check::IdBlockAuthor);
}

#[test]
fn an_id_block_key_is_demanded_where_the_owner_lists_one() {
    let world = |digest: u8| {
        let mut bundle = Bundle::valid();
        bundle.report.id_key_digest = [digest; 48];
        let mut world = World::of(bundle);
        world.policy.id_block_keys = vec![HexArray([0; 48]), HexArray([2; 48])];
        world
    };
    world(2).accepted();
    world(3).refused(Check::IdBlockKey);
    // Zeros are no id block, even where somebody lists them.
    assert_eq!(world(0).refused(Check::IdBlockKey).found, "no id block");
    // An accepted author does not stand in for an accepted key.
    let mut world = world(3);
    world.policy.id_block_authors = vec![HexArray([0; 48])];
    world.refused(Check::IdBlockKey);
}
