//! Rounds from time to time, each in a process of its own. This one sleeps: it holds no evidence, no connection, no mounts.

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use std::io;
use std::os::fd::AsFd as _;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// Shortest and longest time between rounds in seconds. More often, the log of statements fills within a day (4096 rounds); more
/// rarely than in a week, nobody can say that a node is watched.
pub const EVERY: std::ops::RangeInclusive<u64> = 10..=7 * 24 * 3600;
/// Pause after the first failure; it doubles with each.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// Longest pause after failures, unless rounds are more often anyway.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Longest time of a round. Reading the files of all profiles takes seconds, on a slow and busy disk minutes.
const ROUND: Duration = Duration::from_secs(900);

/// Run `round` every so often until SIGTERM or SIGINT, which end a round that is under way, too.
///
/// # Errors
///
/// Where signals cannot be waited for, or no process can be started or ended.
pub fn run(every: Duration, mut round: impl FnMut() -> Command) -> io::Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD] {
        signals.add(signal);
    }
    // Children start with none blocked: the standard library sees to that.
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let mut failures = 0_u32;
    loop {
        let Some(well) = one(&signals, round().spawn()?)? else { return Ok(()) };
        failures = if well { 0 } else { failures.saturating_add(1) };
        let until = Instant::now() + pause(every, failures, dice());
        loop {
            match next(&signals, until)? {
                Event::End => return Ok(()),
                Event::Time => break,
                Event::Child => {}
            }
        }
    }
}

/// What woke us.
enum Event {
    End,
    Child,
    Time,
}

/// Whether the round went well; `None` where the end was asked for.
fn one(signals: &SignalFd, mut child: Child) -> io::Result<Option<bool>> {
    let until = Instant::now() + ROUND;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status.success()));
        }
        match next(signals, until)? {
            Event::Child => {}
            Event::End => {
                end(&mut child)?;
                return Ok(None);
            }
            Event::Time => {
                eprintln!("sealpod-guest node: a round took longer than {} s and was ended", ROUND.as_secs());
                end(&mut child)?;
                return Ok(Some(false));
            }
        }
    }
}

/// Its mounts go with it, and a statement that it wrote down but did not extend is dropped by the next round.
fn end(child: &mut Child) -> io::Result<()> {
    if let Ok(id) = i32::try_from(child.id()) {
        kill(Pid::from_raw(id), Signal::SIGTERM)?;
    }
    child.wait().map(|_| ())
}

fn next(signals: &SignalFd, until: Instant) -> io::Result<Event> {
    loop {
        match signals.read_signal()? {
            Some(signal) if signal.ssi_signo == Signal::SIGCHLD as u32 => return Ok(Event::Child),
            Some(_) => return Ok(Event::End),
            None => {}
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Event::Time);
        }
        // Rounded up, so that it does not spin through the last millisecond.
        let left = i32::try_from(left.as_millis().saturating_add(1)).unwrap_or(i32::MAX);
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], left) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// How long to sleep: with up to a quarter more or less, so that nodes which were started together do not stay together.
fn pause(every: Duration, failures: u32, dice: u8) -> Duration {
    let base = match failures.checked_sub(1) {
        None => every,
        Some(again) => FIRST_PAUSE.saturating_mul(1 << again.min(16)).min(LONGEST_PAUSE).min(every),
    };
    base * (384 + u32::from(dice)) / 512
}

fn dice() -> u8 {
    let mut byte = [0];
    // Without random bytes the nodes stay together, no more.
    if aws_lc_rs::rand::fill(&mut byte).is_ok() { byte[0] } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_failures_up_to_a_bound_and_are_spread() {
        let hour = Duration::from_secs(3600);
        let middle = |every, failures| pause(every, failures, 128).as_secs();
        assert_eq!((middle(hour, 0), middle(hour, 1), middle(hour, 2), middle(hour, 4)), (3600, 10, 20, 80));
        assert_eq!((middle(hour, 7), middle(hour, u32::MAX)), (600, 600));
        assert_eq!(middle(Duration::from_secs(15), 5), 15, "never rarer than rounds");
        assert_eq!((pause(hour, 0, 0).as_secs(), pause(hour, 0, 255).as_secs()), (2700, 4492));
    }
}
