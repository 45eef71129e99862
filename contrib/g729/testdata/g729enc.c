/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Encodes 16-bit samples at 8 kHz from stdin with G.729A, for the tests: each frame is a byte of length and so many bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <bcg729/encoder.h>

int main(int argc, char **argv) {
  bcg729EncoderChannelContextStruct *state;
  int16_t pcm[80];
  uint8_t frame[10], n;
  if (argc != 2) return 1;
  state = initBcg729EncoderChannel(atoi(argv[1]));
  while (fread(pcm, sizeof *pcm, 80, stdin) == 80) {
    bcg729Encoder(state, pcm, frame, &n);
    if (putchar(n) == EOF || fwrite(frame, 1, n, stdout) != n) return 1;
  }
  closeBcg729EncoderChannel(state);
  return 0;
}
