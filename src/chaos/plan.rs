//! The plan of the attacks: what is attacked when. It follows from the seed and the flags alone.

use std::time::Duration;

use super::random::Random;

/// How long a worker is frozen. It is less than the time after which a worker without a sign of life is replaced.
const SHORTEST_FREEZE: Duration = Duration::from_secs(3);
pub(crate) const LONGEST_FREEZE: Duration = Duration::from_secs(8);
/// The mean time between two attacks of each kind; zero for none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttackPlan {
    pub(crate) seed: u32,
    /// How long there are attacks.
    pub(crate) duration: Duration,
    pub(crate) kill: Duration,
    pub(crate) stop: Duration,
    pub(crate) freeze: Duration,
    pub(crate) server_restart: Duration,
}

/// What an attack does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum AttackKind {
    /// SIGKILL to a worker.
    Kill,
    /// SIGTERM to a worker.
    Stop,
    /// SIGSTOP to a worker, and SIGCONT some seconds later.
    Freeze,
    /// SIGKILL to the server, which its supervisor then starts again.
    ServerRestart,
}

impl AttackKind {
    pub(super) const ALL: [Self; 4] = [Self::Kill, Self::Stop, Self::Freeze, Self::ServerRestart];
}

/// One attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attack {
    /// When, from the begin of the trial.
    pub(super) at: Duration,
    pub(super) kind: AttackKind,
    /// Which worker: this number modulo the number of workers, in the order of their names.
    pub(super) victim: u64,
    /// How long a worker is frozen.
    pub(super) freeze: Duration,
}

impl AttackPlan {
    /// The attacks in the order of their times. Between two of a kind there is half to one and a half of their
    /// mean time.
    pub(super) fn attacks(&self) -> Vec<Attack> {
        let mut attacks: Vec<_> =
            AttackKind::ALL.into_iter().flat_map(|kind| self.attacks_of(kind)).collect();
        attacks.sort_by_key(|attack| (attack.at, attack.kind));
        attacks
    }

    /// Each kind has random numbers of its own, so that a flag changes only the attacks that it is for.
    fn attacks_of(&self, kind: AttackKind) -> Vec<Attack> {
        let mean = self.mean(kind);
        let mut random = Random::new(self.seed, kind as u64);
        let mut attacks = Vec::new();
        let mut at = Duration::ZERO;
        while !mean.is_zero() {
            at += random.time(mean / 2, mean + mean / 2).max(Duration::from_millis(1));
            if at >= self.duration {
                break;
            }
            let (victim, freeze) = (random.next(), random.time(SHORTEST_FREEZE, LONGEST_FREEZE));
            attacks.push(Attack { at, kind, victim, freeze });
        }
        attacks
    }

    fn mean(&self, kind: AttackKind) -> Duration {
        match kind {
            AttackKind::Kill => self.kill,
            AttackKind::Stop => self.stop,
            AttackKind::Freeze => self.freeze,
            AttackKind::ServerRestart => self.server_restart,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plan(seed: u32) -> AttackPlan {
        let seconds = Duration::from_secs;
        AttackPlan {
            seed,
            duration: seconds(90),
            kill: seconds(1),
            stop: seconds(10),
            freeze: seconds(15),
            server_restart: seconds(30),
        }
    }

    fn of_kind(attacks: &[Attack], kind: AttackKind) -> Vec<Attack> {
        attacks.iter().filter(|attack| attack.kind == kind).copied().collect()
    }

    #[test]
    fn a_seed_has_one_plan() {
        assert_eq!(plan(7).attacks(), plan(7).attacks());
        assert_ne!(plan(7).attacks(), plan(8).attacks());
        // Recorded: a seed that somebody noted has to mean the same in a later version.
        let first = plan(1).attacks()[0];
        let (at, kind, victim) = (first.at, first.kind, first.victim % 5);
        assert_eq!((at, kind, victim), (Duration::from_millis(1431), AttackKind::Kill, 1));
    }

    #[test]
    fn attacks_keep_their_mean_time_and_lie_within_the_duration() {
        for seed in 0..200 {
            let (plan, attacks) = (plan(seed), plan(seed).attacks());
            assert!(attacks.is_sorted_by_key(|attack| attack.at));
            assert!(attacks.iter().all(|attack| attack.at < plan.duration));
            for kind in AttackKind::ALL {
                let mean = plan.mean(kind);
                let attacks = of_kind(&attacks, kind);
                let begins = std::iter::once(Duration::ZERO).chain(attacks.iter().map(|a| a.at));
                for (begin, attack) in begins.zip(&attacks) {
                    let gap = attack.at.saturating_sub(begin);
                    assert!(gap >= mean / 2 && gap <= mean * 3 / 2, "{kind:?} {seed} {gap:?}");
                    assert!((SHORTEST_FREEZE..=LONGEST_FREEZE).contains(&attack.freeze));
                }
                assert!(!attacks.is_empty(), "{kind:?}: at least one in any three means");
            }
        }
    }

    #[test]
    fn a_flag_changes_only_its_own_attacks_and_zero_turns_them_off() {
        for seed in 0..200 {
            let all = plan(seed).attacks();
            let changed = AttackPlan { kill: Duration::ZERO, ..plan(seed) }.attacks();
            assert_eq!(of_kind(&changed, AttackKind::Kill), []);
            for kind in [AttackKind::Stop, AttackKind::Freeze, AttackKind::ServerRestart] {
                assert_eq!(of_kind(&changed, kind), of_kind(&all, kind), "{kind:?} {seed}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_plan_lies_within_its_flags(
            seed: u32, duration in 0_u64..20_000, means in [0_u64..400, 0..400, 0..400, 0..400],
        ) {
            let [kill, stop, freeze, server_restart] = means.map(|mean| Duration::from_millis(mean * mean));
            let duration = Duration::from_millis(duration);
            let plan = AttackPlan { seed, duration, kill, stop, freeze, server_restart };
            let attacks = plan.attacks();
            prop_assert_eq!(&attacks, &plan.attacks());
            prop_assert!(attacks.is_sorted_by_key(|attack| attack.at));
            for kind in AttackKind::ALL {
                let mean = plan.mean(kind);
                let number = of_kind(&attacks, kind).len();
                // Half a mean apart at least, and one and a half at most.
                let millis = |time: Duration| usize::try_from(time.as_millis()).unwrap();
                let most = millis(duration) * 2 / millis(mean).max(1) + 1;
                let fewest = millis(duration).saturating_sub(1) * 2 / (millis(mean).max(1) * 3 + 2);
                prop_assert!(number <= most && (mean.is_zero() || number >= fewest), "{:?} {}", kind, number);
                prop_assert!(!mean.is_zero() || number == 0);
            }
            prop_assert!(attacks.iter().all(|attack| attack.at < duration));
        }
    }

    #[test]
    fn every_worker_is_a_victim() {
        let victims: std::collections::BTreeSet<_> =
            plan(3).attacks().iter().map(|attack| attack.victim % 5).collect();
        assert_eq!(victims.len(), 5);
    }
}
