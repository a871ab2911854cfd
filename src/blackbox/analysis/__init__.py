"""What can be concluded from numbers over time: trends, forecasts, advice, differences. Pure; every finding carries
its evidence."""
