//! Whose hash decides.

use splitway_document::{Cursor, Fields, Read};

tagged! { "dialect" =>
    /// Whose bucketing arithmetic an experiment uses, with that system's own
    /// parameters. All but `splitway` also decide who is in.
    pub enum Bucketing {
        /// Splitway's own.
        Splitway(SplitwayBucketing) = "splitway",
        /// GrowthBook, hash version 1.
        GrowthbookV1(GrowthbookBucketing) = "growthbook_v1",
        /// GrowthBook, hash version 2.
        GrowthbookV2(GrowthbookBucketing) = "growthbook_v2",
        /// Optimizely Feature Experimentation.
        Optimizely(OptimizelyBucketing) = "optimizely",
        /// Unleash.
        Unleash(UnleashBucketing) = "unleash",
        /// LaunchDarkly.
        Launchdarkly(LaunchdarklyBucketing) = "launchdarkly",
        /// Statsig.
        Statsig(StatsigBucketing) = "statsig",
        /// Split (Harness FME).
        Split(SplitBucketing) = "split",
        /// PlanOut.
        Planout(PlanoutBucketing) = "planout",
        /// Eppo.
        Eppo(EppoBucketing) = "eppo",
        /// flagd's `fractional` operation.
        Flagd(FlagdBucketing) = "flagd",
    }
}

records! {
    /// Splitway's own arithmetic.
    pub struct SplitwayBucketing {
        /// Replaces the salt made of namespace and experiment id.
        pub salt: Option<String>,
    }

    /// GrowthBook's parameters.
    pub struct GrowthbookBucketing {
        /// Default: the experiment's id.
        pub seed: Option<String>,
        /// Share of each weight that is active, from 0 to 1. Default: 1.
        pub coverage: Option<f64>,
        /// A fraction per variant. Default: the variants' weights.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub weights: Vec<f64>,
        /// `[start, end)` per variant, from 0 to 1, in place of coverage and
        /// weights.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub ranges: Vec<[f64; 2]>,
        /// A namespace: `[id, start, end]`.
        pub namespace: Option<(String, f64, f64)>,
        /// All must let the unit pass; they replace the namespace.
        pub filters: Option<Vec<GrowthbookFilter>>,
    }

    /// A filter of GrowthBook.
    pub struct GrowthbookFilter {
        /// Its seed.
        pub seed: String,
        /// 1 or 2. Default: 2.
        pub hash_version: Option<u8>,
        /// The unit passes in one of these, `[start, end)`, from 0 to 1.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub ranges: Vec<[f64; 2]>,
    }

    /// Optimizely's parameters.
    pub struct OptimizelyBucketing {
        /// The experiment's numeric id.
        pub experiment_id: String,
        /// Variants by ends of ranges, ascending.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub traffic_allocation: Vec<OptimizelyAllocation>,
        /// The random group it is in.
        pub group: Option<OptimizelyGroup>,
    }

    /// A piece of Optimizely's traffic.
    pub struct OptimizelyAllocation {
        /// Who gets it; none: nobody.
        pub variant: Option<String>,
        /// Its end (exclusive), of 10,000.
        pub end_of_range: u32,
    }

    /// A group of Optimizely with the policy `random`.
    pub struct OptimizelyGroup {
        /// Its numeric id.
        pub id: String,
        /// Experiments by ends of ranges, ascending.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub traffic_allocation: Vec<OptimizelyGroupAllocation>,
    }

    /// A piece of a group's traffic.
    pub struct OptimizelyGroupAllocation {
        /// Whose it is; empty: nobody's.
        pub experiment_id: String,
        /// Its end (exclusive), of 10,000.
        pub end_of_range: u32,
    }

    /// Unleash's parameters.
    pub struct UnleashBucketing {
        /// Default: the experiment's id.
        pub group_id: Option<String>,
        /// Whole percent. Default: 100.
        pub rollout: Option<u32>,
        /// Whole weights. Default: the variants' weights.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub variant_weights: Vec<u32>,
    }

    /// LaunchDarkly's parameters.
    pub struct LaunchdarklyBucketing {
        /// The flag's key.
        pub flag_key: String,
        /// The flag's salt.
        pub salt: String,
        /// The rollout's seed, which replaces key and salt.
        pub seed: Option<i64>,
        /// Weights of 100,000. Default: the variants' weights, scaled.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub weights: Vec<u32>,
    }

    /// Statsig's parameters.
    pub struct StatsigBucketing {
        /// The config's salt.
        pub config_salt: String,
        /// The rule's salt.
        pub rule_salt: String,
        /// Percentage that passes. Default: 100.
        pub pass_percentage: Option<f64>,
        /// Groups by ends of ranges, ascending.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub groups: Vec<StatsigGroup>,
        /// The groups' salt. Default: the config's.
        pub group_salt: Option<String>,
    }

    /// A group of Statsig.
    pub struct StatsigGroup {
        /// Who gets it; none: nobody.
        pub variant: Option<String>,
        /// Its end (exclusive), of 1,000.
        pub end: u32,
    }

    /// Split's parameters.
    pub struct SplitBucketing {
        /// The flag's seed, 32 bits.
        pub seed: i64,
        /// Whole percentages. Default: the variants' weights, which must then
        /// be percentages.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub sizes: Vec<u32>,
        /// Whole percentage of the traffic to consider. Default: 100.
        pub traffic_allocation: Option<u32>,
        /// Its seed, 32 bits. Default: 0.
        pub traffic_allocation_seed: Option<i64>,
    }

    /// PlanOut's parameters.
    pub struct PlanoutBucketing {
        /// The experiment's salt. Default: the experiment's id.
        pub experiment_salt: Option<String>,
        /// The parameter's salt: PlanOut's default is its name.
        pub parameter_salt: String,
        /// A weight per variant (`WeightedChoice`). Default: the variants'
        /// weights, or a `UniformChoice` if they have none.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub weights: Vec<f64>,
    }

    /// Eppo's parameters.
    pub struct EppoBucketing {
        /// The shards' salt.
        pub salt: String,
        /// Default: 10,000.
        pub total_shards: Option<u32>,
        /// Per variant its `[start, end)` ranges of shards.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub ranges: Vec<Vec<[u32; 2]>>,
        /// The traffic shard in front.
        pub traffic: Option<EppoTraffic>,
    }

    /// Eppo's traffic shard.
    pub struct EppoTraffic {
        /// Its salt.
        pub salt: String,
        /// Its `[start, end)` ranges.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub ranges: Vec<[u32; 2]>,
    }

    /// flagd's parameters.
    pub struct FlagdBucketing {
        /// The flag's key.
        pub flag_key: String,
        /// Whole weights. Default: the variants' weights.
        #[cfg_attr(feature = "schema", schemars(default))]
        pub weights: Vec<u32>,
        /// Revision of the `fractional` operation, 2 or 3: the two give most units another variant. 3 hashes the two keys
        /// as canonical CBOR, as openfeature-flagd-core 2 does. Default: 2.
        #[cfg_attr(feature = "schema", schemars(range(min = 2, max = 3)))]
        pub revision: Option<u32>,
    }
}
