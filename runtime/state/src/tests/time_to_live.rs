//! Time to live where it meets the rest: programs that add, change or drop it, what runs hold,
//! what reading costs, and cleaning.
