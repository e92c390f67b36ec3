use std::fmt;

use voltaxe_protocol::{CommandId, CommandState};

/// Something that must not happen, and to which command it did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    pub id: CommandId,
    pub wrong: Wrong,
}

#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Wrong {
    #[error("its effect begins again although nothing interrupted it, or once too often")]
    BeginsAgain,
    #[error("its effect begins and it is in no queue")]
    NeverQueued,
    #[error("its effect begins after it was confirmed to be cancelled")]
    BeginsAfterItsCancel,
    #[error("its effect begins after it was {0}")]
    BeginsAfterItsEnd(CommandState),
    #[error("its effect begins on a host that it is not for")]
    ForAnotherHost,
    #[error("its effect begins in another enrolment than the one it is for")]
    ForAnotherEpoch,
    #[error("its effect begins before its time")]
    TooEarly,
    #[error("its effect begins after it expired")]
    Expired,
    #[error("it undoes the newer command {0}")]
    Undoes(CommandId),
    #[error("it was carried out last, and its host is not as it says")]
    DoesNotHold,
    #[error("its effect ends without having begun")]
    EndsWithoutBegin,
    #[error("it was {from} for good and is now {to}")]
    FinalChanged { from: CommandState, to: CommandState },
    #[error("its first result was replaced by another")]
    ResultReplaced,
    #[error("it is told to be delivered and its host does not have it on disk")]
    DeliveredWithoutDisk,
    #[error("it is told to be executed and had no effect")]
    ExecutedWithoutEffect,
    #[error("it is told to be cancelled and its effect had begun")]
    CancelledYetBegun,
    #[error("its host says that nothing was done ({0}) and its effect had begun")]
    RefusedYetBegun(String),
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub acknowledged: u64,
    /// Commands that took effect.
    pub effects: u64,
    /// Of them, those that a crash interrupted.
    pub taken_up_again: u64,
    pub cancelled: u64,
    pub expired: u64,
    /// Acknowledged, and not in the queue in the end.
    pub lost: Vec<CommandId>,
    /// Not final in the end.
    pub stuck: Vec<(CommandId, CommandState)>,
    pub violations: Vec<Violation>,
}

impl Verdict {
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost.is_empty() && self.stuck.is_empty() && self.violations.is_empty()
    }

    /// How many took effect twice.
    #[must_use]
    pub fn doubled(&self) -> usize {
        self.violations.iter().filter(|violation| violation.wrong == Wrong::BeginsAgain).count()
    }

    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.effects += other.effects;
        self.taken_up_again += other.taken_up_again;
        self.cancelled += other.cancelled;
        self.expired += other.expired;
        self.lost.extend(other.lost);
        self.stuck.extend(other.stuck);
        self.violations.extend(other.violations);
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "command {}: {}", self.id, self.wrong)
    }
}

/// One line of counts, then a line for each thing that is wrong.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, effects, taken_up_again, cancelled, expired, .. } = self;
        let others = self.violations.len() - self.doubled();
        write!(
            f,
            "{acknowledged} acknowledged, {effects} took effect ({taken_up_again} taken up again after a crash), {cancelled} \
             cancelled, {expired} expired; {} lost, {} doubled, {} stuck, {others} otherwise wrong",
            self.lost.len(),
            self.doubled(),
            self.stuck.len(),
        )?;
        for id in &self.lost {
            write!(f, "\n  command {id}: it was acknowledged and is gone")?;
        }
        for (id, state) in &self.stuck {
            write!(f, "\n  command {id}: it is {state} in the end")?;
        }
        for violation in &self.violations {
            write!(f, "\n  {violation}")?;
        }
        Ok(())
    }
}
