"""The words of Blackbox as frozen structs: samples (what sources saw), the snapshot (their merge), views, JSON."""
