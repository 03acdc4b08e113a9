//! Step 2.

use crate::world::World;
use sealpod_evidence::rcar::protocol::Tee;
use sealpod_verifier::Check;

#[test]
fn a_challenge_holds_until_it_expires() {
    let mut world = World::valid();
    world.challenge.expires = world.now + 1;
    world.accepted();
    world.challenge.expires = world.now;
    world.refused(Check::ChallengeExpired);
}

#[test]
fn the_nonce_is_the_one_given_out() {
    let mut world = World::valid();
    world.challenge.nonce.push('=');
    world.refused(Check::ChallengeNonce);
}

#[test]
fn another_tee_is_refused_by_name() {
    let mut world = World::valid();
    world.challenge.tee = Tee::Tdx;
    world.refused(Check::PrimaryEvidence);
    for tee in [Tee::Sgx, Tee::Cca, Tee::Sample, Tee::Tpm] {
        let mut world = World::valid();
        world.challenge.tee = tee;
        assert_eq!(world.refused(Check::ChallengeTee).found, tee.to_string());
    }
}
