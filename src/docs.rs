//! The pages in `docs/`, so that their Rust blocks are compiled as tests. Empty in every other build.

#[doc = include_str!("../docs/getting-started.md")]
struct GettingStarted;

#[doc = include_str!("../docs/enqueueing.md")]
struct Enqueueing;

#[doc = include_str!("../docs/handlers.md")]
struct Handlers;

#[doc = include_str!("../docs/which-feature.md")]
struct WhichFeature;

#[doc = include_str!("../docs/recipes.md")]
struct Recipes;

#[cfg(feature = "testing")]
#[doc = include_str!("../docs/testing.md")]
struct Testing;

#[doc = include_str!("../docs/operations.md")]
struct Operations;

#[doc = include_str!("../docs/dashboard.md")]
struct Dashboard;

#[doc = include_str!("../docs/deployment.md")]
struct Deployment;

#[doc = include_str!("../docs/other-languages.md")]
struct OtherLanguages;

#[doc = include_str!("../docs/schedules.md")]
struct Schedules;

#[doc = include_str!("../docs/limits.md")]
struct Limits;

#[doc = include_str!("../docs/worker-binary.md")]
struct WorkerBinary;

#[cfg(all(feature = "telemetry", feature = "axum"))]
#[doc = include_str!("../docs/tracing.md")]
struct Tracing;

#[doc = include_str!("../docs/why.md")]
struct Why;

#[doc = include_str!("../docs/defaults.md")]
struct Defaults;

#[doc = include_str!("../docs/performance.md")]
struct Performance;

#[doc = include_str!("../docs/sizing.md")]
struct Sizing;
