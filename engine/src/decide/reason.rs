//! Why a unit is in an experiment, or is not.

/// Why a unit did or did not enter an experiment. Closed: `explain`, metrics
/// and exposures all use these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Everything is switched off.
    KillSwitch,
    /// The request is a bot's.
    Bot,
    /// Consent is required and not there.
    NoConsent,
    /// The request carries no unit.
    NoUnit,
    /// The experiment's status takes no units.
    NotRunning,
    /// Before its schedule.
    NotStarted,
    /// After its schedule.
    Ended,
    /// The unit is held out.
    Holdout,
    /// An override put the unit into another experiment of the layer.
    OtherExperiment,
    /// The unit's bucket of the layer belongs to another experiment, or none.
    OutsideBuckets,
    /// The experiment owns the bucket, but it is not active yet.
    OutsideTraffic,
    /// The request is not eligible.
    NotTargeted,
    /// The dialect's own allocation leaves the unit out.
    DialectExcluded,
    /// Another experiment that is entered acts on the same thing, and comes first.
    Conflict,
    /// Entered: an allow-list names the unit.
    Override,
    /// Entered: a valid QA token names the variant.
    QaToken,
    /// Its variant was switched off by a guardrail. Entered, with the control;
    /// where that is what is off, only to be recorded (see [`crate::Assignment::withheld`]).
    Guardrail,
    /// Entered: by its bucket.
    Split,
}

impl Reason {
    /// Every reason, in the order in which `decide` can give them.
    pub const ALL: [Self; 18] = [
        Self::KillSwitch,
        Self::Bot,
        Self::NoConsent,
        Self::NoUnit,
        Self::NotRunning,
        Self::NotStarted,
        Self::Ended,
        Self::Holdout,
        Self::OtherExperiment,
        Self::OutsideBuckets,
        Self::OutsideTraffic,
        Self::NotTargeted,
        Self::DialectExcluded,
        Self::Conflict,
        Self::Override,
        Self::QaToken,
        Self::Guardrail,
        Self::Split,
    ];

    /// The stable spelling.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KillSwitch => "kill_switch",
            Self::Bot => "bot",
            Self::NoConsent => "no_consent",
            Self::NoUnit => "no_unit",
            Self::NotRunning => "not_running",
            Self::NotStarted => "not_started",
            Self::Ended => "ended",
            Self::Holdout => "holdout",
            Self::OtherExperiment => "other_experiment",
            Self::OutsideBuckets => "outside_buckets",
            Self::OutsideTraffic => "outside_traffic",
            Self::NotTargeted => "not_targeted",
            Self::DialectExcluded => "dialect_excluded",
            Self::Conflict => "conflict",
            Self::Override => "override",
            Self::QaToken => "qa_token",
            Self::Guardrail => "guardrail",
            Self::Split => "split",
        }
    }

    /// Whether a person chose the variant, not the hash: such exposures are
    /// left out of the analysis.
    #[must_use]
    pub fn is_override(self) -> bool {
        matches!(self, Self::Override | Self::QaToken)
    }
}
