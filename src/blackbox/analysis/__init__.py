"""Conclusions from numbers over time: trends, forecasts, differences, diagnosis, advice. Pure functions of the model;
each conclusion carries its evidence."""
