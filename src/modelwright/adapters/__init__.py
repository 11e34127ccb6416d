"""Other people's systems behind our ports, a folder a technology: imported where they are asked for, by `app` alone."""
