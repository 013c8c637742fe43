//! Exposures and outcomes to a verdict.
