//! The jobs of the workload. Their args say what their handlers do.

use std::time::Duration;

use haulage::Job;
use rand::{RngExt, rngs::StdRng};
use serde::{Deserialize, Serialize};

/// What every worker serves.
pub(crate) const QUEUES: [(&str, usize); 3] = [("work", 12), ("other", 4), ("crash", 2)];
/// Of each key of the class `tenant`, in the whole fleet.
pub(crate) const TENANT_LIMIT: u32 = 2;
pub(crate) const TENANTS: u32 = 3;
/// Failures allowed to those that are told to fail.
pub(crate) const MAX_ATTEMPTS: u16 = 6;

/// What a handler does with its job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Act {
    /// Works for so long, and stops when it is told to.
    pub(crate) ms: u64,
    /// Blocks the thread of the runtime for so long and never yields.
    #[serde(default)]
    pub(crate) block_ms: u64,
    /// Is not told to stop by anybody.
    #[serde(default)]
    pub(crate) deaf: bool,
    /// Fails until it has failed so often.
    #[serde(default)]
    pub(crate) fail: i16,
    /// Panics instead of failing.
    #[serde(default)]
    pub(crate) panic: bool,
    /// Dies at once.
    #[serde(default)]
    pub(crate) fatal: bool,
    /// Snoozes in so many first attempts.
    #[serde(default)]
    pub(crate) snooze: i32,
    /// Enqueues so many children in the transaction of its effects.
    #[serde(default)]
    pub(crate) children: u32,
}

impl Act {
    /// Mostly short and good; each kind of trouble now and then.
    pub(crate) fn random(random: &mut StdRng) -> Self {
        let mut act = Self { ms: random.random_range(0..40), ..Self::default() };
        match random.random_range(0..100) {
            0..8 => act.fail = random.random_range(1..4),
            8..11 => (act.fail, act.panic) = (1, true),
            11..13 => act.fatal = true,
            13..15 => act.fail = i16::MAX,
            15..20 => act.snooze = random.random_range(1..3),
            20..28 => act.children = random.random_range(1..4),
            28..38 => act.ms = random.random_range(200..1_500),
            38..40 => (act.ms, act.deaf) = (random.random_range(500..3_000), true),
            40 => act.block_ms = random.random_range(100..1_500),
            _ => {}
        }
        act
    }

    pub(crate) fn short() -> Self {
        Self { ms: 5, ..Self::default() }
    }
}

macro_rules! jobs {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $queue:literal, keep $keep:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Serialize, Deserialize)]
        pub(crate) struct $name {
            pub(crate) k: String,
            pub(crate) act: Act,
        }

        impl Job for $name {
            const KIND: &'static str = $kind;
            const QUEUE: &'static str = $queue;
            const MAX_ATTEMPTS: u16 = MAX_ATTEMPTS;
            const TIMEOUT: Option<Duration> = Some(Duration::from_secs(6));
            const KEEP_COMPLETED: bool = $keep;
        }
    )*};
}

jobs! {
    /// Writes its effect in the transaction that completes it.
    Effect, "effect", "work", keep true;
    /// The same, and leaves nothing in the history.
    Forget, "forget", "work", keep false;
    /// Repeated under its unique key until its enqueue is known to have committed.
    Once, "once", "work", keep true;
    /// Says that it is done, and no more.
    Plain, "plain", "other", keep true;
    /// A plain function on a thread of its own.
    Blocking, "blocking", "other", keep true;
    /// Ends its process, each time.
    Bomb, "bomb", "crash", keep true;
}

/// Kinds whose handlers write an effect.
pub(crate) const WITH_EFFECT: [&str; 3] = [Effect::KIND, Forget::KIND, Once::KIND];

/// What the schedule enqueues each second.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Tick {}

impl Job for Tick {
    const KIND: &'static str = "tick";
    const QUEUE: &'static str = "other";
}
