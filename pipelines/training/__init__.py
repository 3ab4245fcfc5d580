"""Train the refiner of a night: rewards, gains, warm start, GRPO, and the champion."""
