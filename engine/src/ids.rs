//! Handles: small integers that index a plan's slices.

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u16);

        impl $name {
            /// The index into the plan's slice.
            #[must_use]
            pub fn index(self) -> usize {
                usize::from(self.0)
            }
        }
    )*};
}

ids! {
    /// An experiment; the order is that of the experiments' ids.
    ExperimentId;
    /// A variant of an experiment, in document order.
    VariantId;
    /// A layer.
    LayerId;
    /// A holdout.
    HoldoutId;
    /// A chain of unit sources.
    ChainId;
}
