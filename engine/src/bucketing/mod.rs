//! Bucketing arithmetic: one file per dialect (`spec` names the systems).
