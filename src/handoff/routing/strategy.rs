//! Which of several free agents who may take a caller is asked first.

use super::Moment;

/// How agents are ordered. Ties go to who has been idle longest, then by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Longest time Available since the last call.
    #[default]
    LongestIdle,
    /// Whose last call ended first, whatever they did since.
    LeastRecent,
    /// Fewest calls answered.
    FewestCalls,
    /// In turn.
    RoundRobin,
    /// Best at what is asked.
    HighestProficiency,
    /// Everybody at once; the first to accept wins.
    RingAll,
    /// Any, each as likely.
    Random,
    /// Always in the same order.
    Linear,
}

/// What an agent's place is made of.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Which agent; the order of ids.
    pub place: u32,
    /// Would be idle since, had there been no breaks.
    pub idle_from: Moment,
    /// When the last call ended.
    pub last_call: Option<Moment>,
    /// Calls answered.
    pub answered: u32,
    /// Sum of levels at what is asked.
    pub proficiency: u32,
    /// Does not speak the caller's language, which is preferred.
    pub foreign: bool,
}

impl Strategy {
    /// Names as in the configuration, Asterisk's among them.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "longest_idle" => Self::LongestIdle,
            "least_recent" | "leastrecent" => Self::LeastRecent,
            "fewest_calls" | "fewestcalls" => Self::FewestCalls,
            "round_robin" | "rrmemory" | "rrordered" => Self::RoundRobin,
            "highest_proficiency" => Self::HighestProficiency,
            "ring_all" | "ringall" => Self::RingAll,
            "random" => Self::Random,
            "linear" => Self::Linear,
            _ => return None,
        })
    }

    /// The names, without aliases.
    pub const NAMES: &'static str =
        "longest_idle, least_recent, fewest_calls, round_robin, highest_proficiency, ring_all, random, linear";

    /// Smallest first. `last` was asked last in this queue; `draw` is one random number for this decision.
    pub fn rank(self, candidate: &Candidate, last: Option<u32>, draw: u64) -> (bool, u64, Moment, u32) {
        let first = match self {
            Self::LongestIdle | Self::RingAll => 0,
            Self::LeastRecent => candidate.last_call.map_or(0, |at| at.ms() + 1),
            Self::FewestCalls => u64::from(candidate.answered),
            Self::RoundRobin => {
                u64::from(last.is_some_and(|last| candidate.place <= last)) << 32 | u64::from(candidate.place)
            }
            Self::HighestProficiency => u64::from(u32::MAX - candidate.proficiency),
            Self::Random => mix(draw ^ u64::from(candidate.place)),
            Self::Linear => u64::from(candidate.place),
        };
        (candidate.foreign, first, candidate.idle_from, candidate.place)
    }

    /// Why this agent: a word for it, and as a part of a sentence.
    pub const fn because(self) -> (&'static str, &'static str) {
        match self {
            Self::LongestIdle => ("longest_idle", "who has been idle longest"),
            Self::LeastRecent => ("least_recent", "whose last call is longest ago"),
            Self::FewestCalls => ("fewest_calls", "who has had the fewest calls"),
            Self::RoundRobin => ("round_robin", "whose turn it is"),
            Self::HighestProficiency => ("highest_proficiency", "who knows most about it"),
            Self::RingAll => ("ring_all", "as everybody who is free"),
            Self::Random => ("random", "by lot"),
            Self::Linear => ("linear", "who comes first in the fixed order"),
        }
    }
}

/// Spreads the bits of a number (the finaliser of SplitMix64).
pub fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(place: u32, idle: u64, last: u64, answered: u32, proficiency: u32) -> Candidate {
        Candidate {
            place,
            idle_from: Moment::from_ms(idle),
            last_call: Some(Moment::from_ms(last)),
            answered,
            proficiency,
            foreign: false,
        }
    }

    fn first(strategy: Strategy, last: Option<u32>) -> u32 {
        let all = [candidate(0, 300, 90, 5, 3), candidate(1, 100, 95, 7, 2), candidate(2, 200, 80, 4, 9)];
        all.iter().min_by_key(|one| strategy.rank(one, last, 7)).expect("three").place
    }

    #[test]
    fn each_strategy_has_its_own_first() {
        assert_eq!(first(Strategy::LongestIdle, None), 1);
        assert_eq!(first(Strategy::LeastRecent, None), 2);
        assert_eq!(first(Strategy::FewestCalls, None), 2);
        assert_eq!(first(Strategy::HighestProficiency, None), 2);
        assert_eq!(first(Strategy::Linear, Some(0)), 0);
        assert_eq!((first(Strategy::RoundRobin, None), first(Strategy::RoundRobin, Some(0))), (0, 1));
        assert_eq!((first(Strategy::RoundRobin, Some(1)), first(Strategy::RoundRobin, Some(2))), (2, 0));
    }

    #[test]
    fn chance_is_fair() {
        let all: Vec<Candidate> = (0..4).map(|place| candidate(place, 0, 0, 0, 0)).collect();
        let mut times = [0u32; 4];
        for draw in 0..4_000 {
            let chosen = all.iter().min_by_key(|one| Strategy::Random.rank(one, None, mix(draw))).expect("four");
            times[chosen.place as usize] += 1;
        }
        assert!(times.iter().all(|n| (900..1_100).contains(n)), "{times:?}");
    }

    #[test]
    fn a_preferred_language_goes_before_everything() {
        let mut foreign = candidate(0, 0, 0, 0, 9);
        foreign.foreign = true;
        let native = candidate(1, 900, 900, 9, 0);
        for strategy in [Strategy::LongestIdle, Strategy::FewestCalls, Strategy::HighestProficiency] {
            assert!(strategy.rank(&native, None, 0) < strategy.rank(&foreign, None, 0), "{strategy:?}");
        }
    }

    #[test]
    fn every_name_that_is_told_is_known() {
        for name in Strategy::NAMES.split(", ") {
            assert!(Strategy::by_name(name).is_some(), "{name}");
        }
        assert_eq!(Strategy::by_name("rrmemory"), Some(Strategy::RoundRobin));
    }
}
