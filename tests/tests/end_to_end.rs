//! Real guests, real firmware loader, real TPM commands: the acts of the demo, asserted.

use sealpod_tests::acts::play;
use sealpod_tests::world::Firmware;

fn play_and_assert(firmware: Firmware) {
    let mut failures = Vec::new();
    let all = play(firmware, &mut |phase| eprintln!("{phase}"), &mut |number, title, outcome| {
        if !outcome.passed {
            failures.push(format!("act {number}: {title}: {outcome:#?}"));
        }
    })
    .expect("the acts can be played");
    assert!(all && failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_acts_end_as_expected_with_direct_boot() {
    play_and_assert(Firmware::Direct);
}

#[test]
fn the_acts_end_as_expected_with_measured_firmware() {
    play_and_assert(Firmware::Ovmf);
}
