"""`python -m modelwright.optimize`: make the images of the kernels now, so that the first training need not."""

from modelwright.optimize.image import history_image, machine_image

if __name__ == "__main__":
    machine_image()
    history_image()
