//! The pages, one file each: what the routes answer.

pub(crate) mod home;
pub(crate) mod orders;
pub(crate) mod products;
pub(crate) mod reports;
pub(crate) mod signup;

pub(crate) mod jobs;
pub(crate) mod took;
