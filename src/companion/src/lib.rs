//! # evenkeel-companion: the native daemon
