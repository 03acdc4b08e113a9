//! Intel's verdict on a TCB, and how the verdicts on its parts combine.

use serde::{Deserialize, Serialize};

/// The status of a TCB level (Intel PCS API 4, "TCB status").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TcbStatus {
    /// All updates are there.
    UpToDate,
    /// All updates are there; software has to defend itself against a known flaw.
    #[serde(rename = "SWHardeningNeeded")]
    SwHardeningNeeded,
    /// All updates are there; a setting of the platform may expose it.
    ConfigurationNeeded,
    /// Both of the above.
    #[serde(rename = "ConfigurationAndSWHardeningNeeded")]
    ConfigurationAndSwHardeningNeeded,
    /// The TD was launched with an outdated TDX module that has been updated under it since.
    #[serde(rename = "TDRelaunchAdvised")]
    TdRelaunchAdvised,
    /// The same, and a setting of the platform may expose it.
    #[serde(rename = "TDRelaunchAdvisedConfigurationNeeded")]
    TdRelaunchAdvisedConfigurationNeeded,
    /// Updates are missing.
    OutOfDate,
    /// Updates are missing, and a setting of the platform may expose it.
    OutOfDateConfigurationNeeded,
    /// Compromised.
    Revoked,
}

impl TcbStatus {
    /// As Intel spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::SwHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSwHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::TdRelaunchAdvised => "TDRelaunchAdvised",
            Self::TdRelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::Revoked => "Revoked",
        }
    }

    /// The platform's status once that of its TDX module or quoting enclave counts too: a part that is outdated makes the whole
    /// outdated, a part that is revoked makes it revoked, any other changes nothing (Intel's quote verification library,
    /// `convergeTcbStatuses`).
    #[must_use]
    pub fn with_part(self, part: Self) -> Self {
        match part {
            Self::Revoked => Self::Revoked,
            Self::OutOfDate | Self::OutOfDateConfigurationNeeded => match self {
                Self::UpToDate | Self::SwHardeningNeeded | Self::TdRelaunchAdvised => Self::OutOfDate,
                Self::ConfigurationNeeded
                | Self::ConfigurationAndSwHardeningNeeded
                | Self::TdRelaunchAdvisedConfigurationNeeded => Self::OutOfDateConfigurationNeeded,
                Self::OutOfDate | Self::OutOfDateConfigurationNeeded | Self::Revoked => self,
            },
            _ => self,
        }
    }

    /// The status of a TD that was launched at `self` and runs at `current` now: one that was launched outdated and runs on what
    /// is up to date should be launched anew (Intel's quote verification library, `checkForRelaunch`). Otherwise the launch's.
    #[must_use]
    pub fn relaunch(self, current: Self) -> Self {
        let needs_configuration = |status| {
            matches!(
                status,
                Self::ConfigurationNeeded
                    | Self::ConfigurationAndSwHardeningNeeded
                    | Self::OutOfDateConfigurationNeeded
            )
        };
        let is_current = matches!(
            current,
            Self::UpToDate
                | Self::SwHardeningNeeded
                | Self::ConfigurationNeeded
                | Self::ConfigurationAndSwHardeningNeeded
        );
        match self {
            Self::OutOfDate | Self::OutOfDateConfigurationNeeded if is_current => {
                if needs_configuration(self) || needs_configuration(current) {
                    Self::TdRelaunchAdvisedConfigurationNeeded
                } else {
                    Self::TdRelaunchAdvised
                }
            }
            // A module that was revoked since, or is worse than the one of the launch, counts.
            _ => self.max(current),
        }
    }
}

impl std::fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::TcbStatus::*;
    use super::*;

    const ALL: [TcbStatus; 9] = [
        UpToDate,
        SwHardeningNeeded,
        ConfigurationNeeded,
        ConfigurationAndSwHardeningNeeded,
        TdRelaunchAdvised,
        TdRelaunchAdvisedConfigurationNeeded,
        OutOfDate,
        OutOfDateConfigurationNeeded,
        Revoked,
    ];

    #[test]
    fn names_are_intels() {
        for status in ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
    }

    #[test]
    fn a_part_never_makes_the_whole_better() {
        for whole in ALL {
            for part in ALL {
                assert!(whole.with_part(part) >= whole, "{whole} with {part}");
                if part == Revoked {
                    assert_eq!(whole.with_part(part), Revoked);
                }
            }
            assert_eq!(whole.with_part(UpToDate), whole);
            assert!(whole.with_part(OutOfDate) >= OutOfDate);
        }
        assert_eq!(SwHardeningNeeded.with_part(OutOfDate), OutOfDate);
        assert_eq!(ConfigurationNeeded.with_part(OutOfDate), OutOfDateConfigurationNeeded);
    }

    #[test]
    fn a_td_that_was_launched_outdated_never_reads_as_up_to_date() {
        assert_eq!(OutOfDate.relaunch(UpToDate), TdRelaunchAdvised);
        assert_eq!(OutOfDate.relaunch(ConfigurationNeeded), TdRelaunchAdvisedConfigurationNeeded);
        assert_eq!(OutOfDateConfigurationNeeded.relaunch(UpToDate), TdRelaunchAdvisedConfigurationNeeded);
        assert_eq!(OutOfDate.relaunch(OutOfDate), OutOfDate);
        assert_eq!(UpToDate.relaunch(UpToDate), UpToDate);
        assert_eq!(UpToDate.relaunch(Revoked), Revoked);
        assert_eq!(Revoked.relaunch(UpToDate), Revoked);
    }
}
