/* Encodes 16-bit samples at 16 kHz from stdin to an AMR-WB file (RFC 4867 section 5.1) on stdout, for the tests: mode, dtx. */
#include <stdio.h>
#include <stdlib.h>
#include <vo-amrwbenc/enc_if.h>

int main(int argc, char **argv) {
  void *state = E_IF_init();
  short pcm[320];
  unsigned char frame[64];
  if (!state || argc != 3) return 1;
  fputs("#!AMR-WB\n", stdout);
  while (fread(pcm, sizeof *pcm, 320, stdin) == 320) {
    int n = E_IF_encode(state, atoi(argv[1]), pcm, frame, atoi(argv[2]));
    if (n <= 0 || fwrite(frame, 1, n, stdout) != (size_t)n) return 1;
  }
  E_IF_exit(state);
  return 0;
}
